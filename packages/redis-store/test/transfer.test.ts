import { randomUUID } from 'node:crypto'
import { bytesIn } from '@mcp-durable/core/transfer'
import type { Piece } from '@mcp-durable/core/transfer'
import type { InspectableRedis } from '@mcp-durable/redis-store/inspect'
import { transferRedis } from '@mcp-durable/redis-store/transfer'
import type { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { fill } from './filled-store.js'
import { HOUR, keysOf, LIMITS, newCall, newSession, openStore } from './support.js'

test('what is moved piece by piece is the same, key by key, however often it is put', async () => {
  await using from = openStore()
  await using to = openStore()
  await fill(from.store)
  await fill(from.store.open({ name: 'shop' }))
  const source = transferRedis(from.client, { prefix: from.prefix })
  const target = transferRedis(to.client, { prefix: to.prefix })
  expect(await source.names()).toEqual(['shop'])
  const kinds = new Set<Piece['kind']>()
  for (let twice = 0; twice < 2; twice++) {
    for await (const piece of source.pieces()) {
      kinds.add(piece.kind)
      await target.put(piece)
    }
  }
  expect([...kinds].toSorted()).toEqual([
    'due',
    'history',
    'listed',
    'log',
    'map',
    'marks',
    'node',
    'places',
    'scope',
    'values',
    'waiting',
  ])
  const [was, is] = [await dump(from.client, from.prefix), await dump(to.client, to.prefix)]
  expect(Object.keys(was).length).toBeGreaterThan(30)
  expect(is).toEqual(was)
  expect(await target.names()).toEqual([])
})

test('nothing is moved of a store that is empty, and what expires goes at its time', async () => {
  await using from = openStore()
  expect(await piecesOf({ client: from.client, prefix: randomUUID() })).toEqual([])
})

test('an open call goes when its journal does, and what answers a repeated request with its journal', async () => {
  await using from = openStore()
  await fill(from.store)
  const journal = (callId: string) => `${from.prefix}:{talks}:call:${callId}`
  const at = Date.now() + 600_000
  await from.client.pexpireat(journal('open'), at)
  await from.client.pexpireat(journal('ended'), at + 1)
  const pieces = await piecesOf(from)
  const scope = pieces.find((piece) => piece.kind === 'scope' && piece.scope === 'talks')
  expect(scope).toMatchObject({
    openCalls: [{ callId: 'open', expiresAt: at }],
    kept: [{ callId: 'ended', expiresAt: at + 1 }],
  })
  const log = pieces.find((piece) => piece.kind === 'log' && piece.log === 'call:open')
  const scopeExpiresAt = await from.client.pexpiretime(`${from.prefix}:{talks}`)
  expect(log).toMatchObject({ expiresAt: at, scopeExpiresAt, endsAlone: false })
})

test('whoever dies while a piece is put leaves no key without its expiry', async () => {
  await using from = openStore()
  await using to = openStore()
  await fill(from.store)
  const lasting = new Set<Piece['kind']>(['scope', 'log', 'history', 'values', 'marks'])
  const pieces = (await piecesOf(from)).filter(({ kind }) => lasting.has(kind))
  for (const commands of [2, 3]) {
    for (const piece of pieces)
      await transferRedis(dying(to.client, commands), to)
        .put(piece)
        .catch(() => undefined)
    const keys = await keysOf(to.client, to.prefix)
    expect(keys.length).toBeGreaterThan(15)
    const left = await Promise.all(keys.map((key) => to.client.pttl(key)))
    expect(keys.filter((key, i) => left[i] === -1 && !key.endsWith(':ended'))).toEqual([])
  }
})

/** It sends so many commands, and no more. */
function dying(client: Redis, commands: number): InspectableRedis {
  let left = commands
  return {
    isCluster: false,
    options: {},
    call: async (name, ...args) => {
      if (left-- <= 0) throw new Error('killed')
      return client.call(name, ...args)
    },
  }
}

test('pieces of large records and values have few of these', async () => {
  await using from = openStore()
  const store = from.store.open({ keeping: { keepMs: HOUR, maxEntries: 100 } })
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), LIMITS)
  const opened = await store.openCall(newCall(scope, { callId: 'c' }))
  if (opened.status !== 'opened') throw new Error(opened.status)
  const large = 'x'.repeat(600_000)
  for (let seq = 2; seq < 12; seq++)
    await store.appendCall(scope, 'c', [{ id: `${Number.parseInt(opened.id, 10)}-${seq}`, data: large }])
  for (let i = 0; i < 10; i++) await store.changeMap('m', { set: [[`key ${i}`, large]], remove: [] })
  const pieces = await piecesOf(from)
  expect(Math.max(...pieces.map(bytesIn))).toBeLessThan(2 * large.length + 1000)
  const full = pieces.filter((piece) => bytesIn(piece) > large.length)
  expect(new Set(full.map(({ kind }) => kind))).toEqual(new Set(['log', 'history', 'map']))
})

test('marks and places are moved however many there are', async () => {
  await using from = openStore()
  await using to = openStore()
  await from.store.changeMap('audit', { set: [['key', 'value']], remove: [] }, 'mark')
  const window = { name: 'often', most: 1_000_000, windowMs: HOUR }
  await from.store.takePlaces({ scope: 'a', callId: 'a' }, [window], [])
  const { marks, quota } = {
    marks: `${from.prefix}:map:{audit}:marks`,
    quota: `${from.prefix}:quota:{quotas}:often`,
  }
  const many = `for i = 1, ARGV[2] do redis.call('ZADD', KEYS[1], ARGV[1], 'other ' .. i) end`
  const now = Date.now()
  await from.client.eval(many, 1, marks, now, 2500)
  await from.client.eval(many, 1, quota, now, 150_000)
  const pieces = await piecesOf(from)
  for (const piece of pieces) await transferRedis(to.client, to).put(piece)
  const pages = pieces.flatMap((piece) => (piece.kind === 'marks' ? [piece.marks.length] : []))
  expect(pages).toEqual([1000, 1000, 501])
  for (const key of [marks, quota]) {
    const there = key.replace(from.prefix, to.prefix)
    expect(await to.client.zcard(there)).toBe(await from.client.zcard(key))
    expect(await to.client.pexpiretime(there)).toBe(await from.client.pexpiretime(key))
  }
})

async function piecesOf(from: { client: Redis; prefix: string }): Promise<Piece[]> {
  const pieces: Piece[] = []
  for await (const piece of transferRedis(from.client, from).pieces()) pieces.push(piece)
  return pieces
}

/** What all keys of no name hold, and when they expire; but for nonces. */
async function dump(client: Redis, prefix: string): Promise<Record<string, unknown>> {
  const all: Record<string, unknown> = {}
  for (const key of await keysOf(client, prefix)) {
    const name = key.slice(prefix.length)
    if (/:once:/.test(name) || name.startsWith(':@')) continue
    const expiry = await client.pexpiretime(key)
    all[name] = { value: await valueOf(client, key, prefix), expiry: isListed(name) ? expiry > 0 : expiry }
  }
  return all
}

/** It lasts as long as what it lists, or longer; what is taken of a quota a ms more or less. */
const isListed = (name: string) =>
  /^:(sessions|due|about:|\{nodes\}|principal:|kept:|values:|calls:|quota:)|:ended$/.test(name)

async function valueOf(client: Redis, key: string, prefix: string): Promise<unknown> {
  const type = await client.type(key)
  if (type === 'string') return client.get(key)
  if (type === 'set') return (await client.smembers(key)).toSorted()
  // What is listed as ended goes by its own expiry, of which the list may be a ms off.
  if (type === 'zset' && key.endsWith('}:ended') && !key.includes(':calls:'))
    return (await client.zrange(key, '0', '-1')).toSorted()
  if (type === 'zset')
    return (await client.zrangebyscore(key, '-inf', '+inf', 'WITHSCORES')).map((text) =>
      text.replaceAll(prefix, ''),
    )
  if (type === 'stream')
    return (await client.xrange(key, '-', '+')).map(([id, fields]) => [id, shortest(fields)])
  const fields = Object.entries(await client.hgetall(key)).map(([name, value]) => [
    name,
    value.replaceAll(prefix, ''),
  ])
  // The words that a minute's repetition of a state entry is recognised by stay behind.
  return fields
    .filter(([name = '', value]) => !(value === '0' && /^(n:|b$)/.test(name)))
    .map(([name = '', value = '']) => [name, sorted(withoutNonce(name, value))])
    .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1))
}

/** A zero may be said or left out. */
const shortest = (fields: readonly string[]) => fields.join('\n').replace(/\nt\n0$/, '')

function withoutNonce(field: string, value: string): string {
  const [, head = '', size = ''] = /^(\d+@\d+) (\d+) /.exec(field.startsWith('s:') ? value : '') ?? []
  if (head === '') return value
  return `${head} 0 ${Buffer.from(value)
    .subarray(head.length + size.length + 2 + Number(size))
    .toString()}`
}

/** Scripts write the fields of an object in any order. */
const sorted = (value: string) =>
  value.startsWith('{"at":')
    ? [...value.matchAll(/"\w+":[^,{}[\]]*/g)].map(([field]) => field).toSorted()
    : value
