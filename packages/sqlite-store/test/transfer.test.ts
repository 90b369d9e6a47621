import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bytesIn } from '@mcp-durable/core/transfer'
import type { Piece } from '@mcp-durable/core/transfer'
import { file } from '@mcp-durable/sqlite-store'
import { openTarget, transferSqlite } from '@mcp-durable/sqlite-store/transfer'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newCall, newSession, NO_LIMIT } from '../../core/src/testing/stores.js'

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
