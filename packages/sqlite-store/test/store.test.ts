import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NewSession } from '@mcp-durable/core/store'
import { file, sqliteStore } from '@mcp-durable/sqlite-store'
import type { SqliteDatabase } from '@mcp-durable/sqlite-store'
import { describe, expect, onTestFinished, test } from 'vitest'
import { waitFor } from '../../../test-support/index.js'
import { DRIVERS } from './support.js'

const HOUR = 3_600_000
const ANY = { maxPerPrincipal: 1000 }

function newFile() {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-durable-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'mcp.db')
}

const newSession = (ttlMs = HOUR): NewSession => ({
  id: randomUUID(),
  principal: 'alice',
  protocolVersion: 'v',
  state: { key: 'initialize', data: '{}' },
  ttlMs,
})

const TABLES = ['scopes', 'states', 'logs', 'entries', 'requests', 'expected', 'value_entries'] as const
const rowsOf = (database: SqliteDatabase) =>
  TABLES.map((table) => {
    const { rows } = database.prepare(`SELECT count(*) AS rows FROM ${table}`).get() as { rows: number }
    return rows
  })

describe.each(DRIVERS)('a store on a handle of $name', ({ open }) => {
  function opened(path: string, wrapped = (database: SqliteDatabase) => database) {
    const database = open(path)
    const store = sqliteStore(wrapped(database), { synchronous: 'normal' })
    onTestFinished(async () => {
      await store.close()
      database.close()
    })
    return { database, store }
  }

  test('what comes in one turn is one transaction, and nothing fails for another operation', async () => {
    const executed: string[] = []
    const { store } = opened(newFile(), (database) => failing(database, executed))
    const session = newSession()
    await store.createSession(session, ANY)
    executed.length = 0
    const append = (data: string) => store.append(session.id, 'out', data, { nonce: data, maxLength: 9 })
    expect((await Promise.all(['a', 'b', 'c'].map(append))).every(Boolean)).toBe(true)
    expect(executed).toEqual(['BEGIN IMMEDIATE', 'COMMIT'])

    const outcomes = await Promise.allSettled(['d', 'poison', 'e'].map(append))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    const entries = await store.read(session.id, 'out', '0-0', 10)
    expect(entries?.map(({ data }) => data)).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  test('a database in memory is enough', async () => {
    const { store } = opened(':memory:')
    const session = newSession()
    const heard: string[] = []
    await store.watch(session.id, (topic) => heard.push(topic))
    await store.createSession(session, ANY)
    await store.append(session.id, 'out', 'a', { nonce: 'a', maxLength: 9 })
    await waitFor(() => heard.includes('out'))
    expect(await store.findRisks()).toEqual([])
  })

  test('a file of a later version is left as it is', async () => {
    const path = newFile()
    const later = open(path)
    later.exec('PRAGMA user_version = 99')
    later.close()
    const { store, database } = opened(path)
    await expect(store.createSession(newSession(), ANY)).rejects.toMatchObject({
      code: 'store-refused',
      message: expect.stringContaining('install that version'),
    })
    expect(database.prepare('PRAGMA user_version').get()).toMatchObject({ user_version: 99 })
    expect(database.prepare('SELECT name FROM sqlite_schema').all()).toEqual([])
  })

  test('the file of another program is left as it is', async () => {
    const path = newFile()
    const other = open(path)
    other.exec('CREATE TABLE theirs (id INTEGER)')
    other.close()
    const { store, database } = opened(path)
    await expect(store.createSession(newSession(), ANY)).rejects.toMatchObject({
      code: 'store-refused',
      message: expect.stringContaining('of another program'),
    })
    expect(database.prepare('PRAGMA journal_mode').get()).toMatchObject({ journal_mode: 'delete' })
    expect(database.prepare('SELECT name FROM sqlite_schema').all()).toMatchObject([{ name: 'theirs' }])
  })

  test('of what has expired, and of what was deleted, no row stays', async () => {
    const { store, database } = opened(newFile())
    const [brief, deleted, kept] = [newSession(200), newSession(), newSession()]
    for (const session of [brief, deleted, kept]) {
      const { id, ttlMs } = session
      await store.createSession(session, ANY)
      await store.writeValue(id, 'key', 0, 'value')
      await store.expect(id, 'an answer')
      for (let n = 0; n < 600; n++)
        void store.append(id, 'out', String(n), { nonce: `${n}`, maxLength: 10_000 }).catch(() => undefined)
      const call = {
        scope: id,
        callId: id,
        owner: 'n',
        principal: 'alice',
        requestKeys: [id],
        data: 'request',
      }
      await store.openCall({ ...call, ttlMs, maxOpenCalls: 9 })
    }
    expect(await store.deleteSession(deleted.id, 'alice')).toBe(true)
    await waitFor(() => rowsOf(database)[0] === 1)
    expect(rowsOf(database)).toEqual([1, 1, 2, 601, 1, 1, 1])
    expect(await store.readSession(kept.id)).toBeDefined()
  })

  test('a file that was large gives its room back', async () => {
    const { store, database } = opened(newFile())
    const session = newSession()
    await store.createSession(session, ANY)
    await store.writeValue(session.id, 'large', 0, 'x'.repeat(10_000_000))
    const pages = (pragma: string) =>
      (database.prepare(`PRAGMA ${pragma}`).get() as Record<string, number>)[pragma] ?? 0
    const before = pages('page_count')
    await store.deleteSession(session.id, 'alice')
    await waitFor(() => pages('page_count') < before / 2)
    await waitFor(() => pages('freelist_count') <= 1024)
  })
})

/** Fails for one text, and notes how transactions begin and end. */
function failing(database: SqliteDatabase, executed: string[]): SqliteDatabase {
  return {
    exec(sql) {
      executed.push(sql)
      return database.exec(sql)
    },
    prepare(sql) {
      const statement = database.prepare(sql)
      return {
        run(...values) {
          if (values.includes('poison')) throw new Error('poisoned')
          return statement.run(...values)
        },
        get: (...values) => statement.get(...values),
        all: (...values) => statement.all(...values),
      }
    },
    close: () => database.close(),
  }
}

describe('file()', () => {
  test('makes the file for this user alone, and finds in it what was there', async () => {
    const path = newFile()
    const session = newSession()
    const store = file(path)
    await store.createSession(session, ANY)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(`${path}-wal`).mode & 0o777).toBe(0o600)
    await store.close()
    const again = file(path, { synchronous: 'normal' })
    expect(await again.readSession(session.id)).toBeDefined()
    await again.close()
    expect(await store.readSession(session.id), 'a store that was closed opens it again').toBeDefined()
    await store.close()
  })

  test.each([
    [() => file(''), 'takes the path of a file'],
    [() => file(':memory:'), 'memoryStore()'],
    [() => file('./mcp.db', { synchronous: 'off' } as never), "'full' or 'normal'"],
    [() => file('./mcp.db', { prefix: 'x' } as never), "no option 'prefix'"],
    [() => sqliteStore('./mcp.db' as never), 'an open database'],
    [() => sqliteStore({} as never), 'an open database'],
  ])('%s is refused at once', (make, message) => {
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })
})
