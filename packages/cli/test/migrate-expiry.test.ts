import { randomUUID } from 'node:crypto'
import type { Piece, Transfer } from '@mcp-durable/core/transfer'
import { redisStore } from '@mcp-durable/redis-store'
import { transferRedis } from '@mcp-durable/redis-store/transfer'
import { openTarget, transferSqlite } from '@mcp-durable/sqlite-store/transfer'
import { expect, test } from 'vitest'
import { newCall, newSession, NO_LIMIT, once } from '../../core/src/testing/stores.js'
import { fill } from '../../redis-store/test/filled-store.js'
import { Tally } from '../src/migrate/tally.js'
import { cli } from './support/cli.js'
import { twoRedises } from './support/two-redises.js'

const { url, client, inFolder } = twoRedises()

/** Ended calls and sessions, one of each going every 20 ms, for much longer than it takes to move them. */
async function goingOneByOne() {
  const store = redisStore(client(0))
  const until = (i: number) => 500 + 20 * i
  await Promise.all(
    Array.from({ length: 1000 }, async (_, i) => {
      const session = newSession({ ttlMs: until(i) })
      await store.createSession(session, NO_LIMIT)
      await store.append(session.id, 'out', 'told', once())
      const callId = randomUUID()
      const call = newCall(callId, { callId, begins: { protocolVersion: '2026-07-28' } })
      const opened = await store.openCall(call)
      if (opened.status !== 'opened') throw new Error(opened.status)
      const end = [{ id: `${Number.parseInt(opened.id, 10)}-2`, data: 'response' }]
      const close = {
        requestKeys: call.requestKeys,
        retainMs: until(i),
        endsScope: i % 2 === 0,
        keepKey: true,
      }
      await store.appendCall(callId, callId, end, close)
    }),
  )
  await store.createSession(newSession({ id: 'stays' }), NO_LIMIT)
  await store.close()
}

test.each(['redis', 'file'])('what expires one by one is in the way of nothing: to a %s', async (kind) => {
  await goingOneByOne()
  const before = await client(0).dbsize()
  const to = kind === 'file' ? `sqlite:${inFolder('going.db')}` : url(1)
  expect(await cli(url(0), 'migrate', '--from', url(0), '--to', to)).toMatchObject({ code: 0 })
  expect(await client(0).dbsize()).toBeLessThan(before)
})

async function piecesOf(transfer: Transfer): Promise<Piece[]> {
  const pieces: Piece[] = []
  for await (const piece of transfer.pieces()) pieces.push(piece)
  return pieces
}

function tallyOf(pieces: readonly Piece[]) {
  const tally = new Tally()
  for (const piece of pieces) tally.add(piece)
  return tally
}

const MINUTE = 60_000

/** Calls that nobody has owned lately go before their session. */
async function filled() {
  const store = redisStore(client(0))
  await fill(store)
  await store.close()
  const now = Date.now()
  const [open, inbox, ended, kept] = ['call:open', 'call:open:in', 'call:ended', 'ended:key of ended']
  for (const [name, minutes] of [
    [open, 10],
    [inbox, 20],
    [ended, 10],
    [kept, 11],
  ] as const)
    expect(await client(0).pexpireat(`mcp:{talks}:${name}`, now + minutes * MINUTE)).toBe(1)
}

test.each(['redis', 'file'])(
  'all that is moved goes at the time at which it would have gone: to a %s',
  async (kind) => {
    await filled()
    const database = kind === 'file' ? openTarget(inFolder('same.db')) : undefined
    const target = database ? transferSqlite(database) : transferRedis(client(1))
    const pieces = await piecesOf(transferRedis(client(0)))
    await Promise.all(pieces.map((piece) => target.put(piece)))
    const [was, is] = [tallyOf(pieces), tallyOf(await piecesOf(target))]
    database?.close()
    for (let minutes = 0; minutes < 130; minutes++) {
      const time = Date.now() + minutes * MINUTE
      const [before, after] = [was.after(time), is.after(time)]
      expect([after.told, after.digest], `${minutes} minutes later`).toEqual([before.told, before.digest])
    }
  },
)

test.each(['redis', 'file'])(
  'what expires before it is read leaves no trace that lasts: to a %s',
  async (kind) => {
    await filled()
    const database = kind === 'file' ? openTarget(inFolder('traces.db')) : undefined
    const target = database ? transferSqlite(database) : transferRedis(client(1))
    const pieces = await piecesOf(transferRedis(client(0)))
    const goesEarly = (piece: Piece) =>
      piece.kind === 'log' && piece.scope === 'talks' && /^call:(open|ended)/.test(piece.log)
    expect(pieces.filter(goesEarly).length).toBeGreaterThan(2)
    await Promise.all(pieces.filter((piece) => !goesEarly(piece)).map((piece) => target.put(piece)))
    const [was, is] = [tallyOf(pieces), tallyOf(await piecesOf(target))].map((tally) =>
      tally.after(Date.now() + 21 * MINUTE),
    )
    database?.close()
    expect([is?.told, is?.digest]).toEqual([was?.told, was?.digest])
  },
)
