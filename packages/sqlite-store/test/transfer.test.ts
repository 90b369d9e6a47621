import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bytesIn } from '@mcp-durable/core/transfer'
import type { Piece } from '@mcp-durable/core/transfer'
import { file } from '@mcp-durable/sqlite-store'
import { openTarget, transferSqlite } from '@mcp-durable/sqlite-store/transfer'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newCall, newSession, NO_LIMIT } from '../../core/src/testing/stores.js'
import { fill } from '../../redis-store/test/filled-store.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-durable-transfer-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function piecesOf(path: string): Promise<Piece[]> {
  const database = openTarget(path)
  const pieces: Piece[] = []
  for await (const piece of transferSqlite(database).pieces()) pieces.push(piece)
  database.close()
  return pieces
}

async function putInto(path: string, pieces: readonly Piece[]) {
  const database = openTarget(path)
  const target = transferSqlite(database)
  await Promise.all(pieces.map((piece) => target.put(piece)))
  database.close()
}

test('what comes without its scope, which has expired meanwhile, goes when that would have gone', async () => {
  const [from, to] = [join(folder, 'whole.db'), join(folder, 'without-scopes.db')]
  const store = file(from)
  await fill(store)
  await store.close()
  const pieces = await piecesOf(from)
  const until = new Map(
    pieces.flatMap((piece) => (piece.kind === 'scope' ? [[piece.scope, piece.expiresAt]] : [])),
  )
  await putInto(
    to,
    pieces.filter(({ kind }) => kind !== 'scope'),
  )
  const scopes = (await piecesOf(to)).flatMap((piece) => (piece.kind === 'scope' ? [piece] : []))
  expect(scopes.length).toBeGreaterThan(5)
  for (const { scope, expiresAt } of scopes) expect(expiresAt).toBe(until.get(scope))
})

test('an open call that nobody has owned lately goes at its own time, until somebody claims it', async () => {
  const [from, to] = [join(folder, 'open.db'), join(folder, 'parked.db')]
  const source = file(from)
  const { id: scope } = newSession()
  await source.createSession(newSession({ id: scope }), NO_LIMIT)
  for (const callId of ['claimed', 'left', 'over'])
    await source.openCall(newCall(scope, { callId, owner: 'n' }))
  await source.close()
  const at = (callId: string) => Date.now() + (callId === 'over' ? -1 : 600_000)
  const moved = (await piecesOf(from)).map((piece): Piece => {
    if (piece.kind === 'log') return { ...piece, expiresAt: at(piece.log.slice('call:'.length)) }
    if (piece.kind !== 'scope') return piece
    return { ...piece, openCalls: piece.openCalls.map((call) => ({ ...call, expiresAt: at(call.callId) })) }
  })
  await putInto(to, moved)
  const target = file(to)
  const claim = { from: 'n', to: 'm', data: 'claim' }
  expect(await target.claimCall(scope, 'over', claim)).toBeUndefined()
  expect(await target.claimCall(scope, 'claimed', claim)).toMatchObject({ claims: 1 })
  await target.close()
  const pieces = await piecesOf(to)
  const [session] = pieces.flatMap((piece) => (piece.kind === 'scope' ? [piece] : []))
  const logs = pieces.flatMap((piece) => (piece.kind === 'log' ? [piece] : []))
  const expiryOf = (callId: string) => logs.find(({ log }) => log === `call:${callId}`)?.expiresAt
  expect(expiryOf('claimed')).toBe(session?.expiresAt)
  expect(expiryOf('left')).toBeLessThan(Date.now() + 700_000)
  expect(expiryOf('over')).toBeUndefined()
  expect(session?.openCalls.map(({ callId }) => callId).toSorted()).toEqual(['claimed', 'left'])
})

test('a map that was changed very often within the last week is moved', async () => {
  const path = join(folder, 'marks.db')
  const store = file(path)
  await store.changeMap('audit', { set: [['key', 'value']], remove: [] }, 'mark')
  await store.close()
  const database = openTarget(path)
  const until = Date.now() + 6 * 86_400_000
  database.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)
    INSERT INTO map_marks SELECT (SELECT id FROM maps WHERE map = 'audit'), 'call ' || i, ${until} FROM n`)
  database.close()
  const marks = (await piecesOf(path)).flatMap((piece) => (piece.kind === 'marks' ? [piece] : []))
  expect(new Set(marks.flatMap((page) => page.marks.map(({ mark }) => mark))).size).toBe(150_001)
  expect(Math.max(...marks.map((page) => page.marks.length))).toBe(1000)
  const pages = marks.filter((_, i) => i < 2 || i === marks.length - 1)
  const to = join(folder, 'marks-moved.db')
  await putInto(to, [...pages, ...pages])
  const there = (await piecesOf(to)).flatMap((piece) => (piece.kind === 'marks' ? piece.marks : []))
  expect(there).toHaveLength(2001)
})

test('pieces of large records and values have few of these', async () => {
  const path = join(folder, 'large.db')
  const store = file(path).open({ keeping: { keepMs: 3_600_000, maxEntries: 100 } })
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), NO_LIMIT)
  const opened = await store.openCall(newCall(scope, { callId: 'c' }))
  if (opened.status !== 'opened') throw new Error(opened.status)
  const large = 'x'.repeat(600_000)
  for (let seq = 2; seq < 12; seq++)
    await store.appendCall(scope, 'c', [{ id: `${Number.parseInt(opened.id, 10)}-${seq}`, data: large }])
  for (let i = 0; i < 10; i++) await store.changeMap('m', { set: [[`key ${i}`, large]], remove: [] })
  await store.close()
  const pieces = await piecesOf(path)
  expect(Math.max(...pieces.map(bytesIn))).toBeLessThan(2 * large.length + 1000)
  const full = pieces.filter((piece) => bytesIn(piece) > large.length)
  expect(new Set(full.map(({ kind }) => kind))).toEqual(new Set(['log', 'history', 'map']))
})
