import { execFileSync } from 'node:child_process'
import {
  closeSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Store } from '@mcp-durable/core'
import type { SqliteDatabase } from '@mcp-durable/sqlite-store'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sqliteStore } from '../src/index.js'
import { DRIVERS } from './support.js'

// What goes wrong with a file: the error says what happened and what to do, nothing is half done, and it goes on when that is done.

const LARGE = 'x'.repeat(300_000)

function newDir() {
  const dir = mkdtempSync(join(tmpdir(), 'sqlite-failures-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

function openWith(openDatabase: (path: string) => SqliteDatabase, path: string) {
  const database = openDatabase(path)
  const store = sqliteStore(database)
  onTestFinished(async () => {
    await store.close()
    database.close()
  })
  return { database, store }
}

const begin = (store: Store, id: string) =>
  store.createSession(
    {
      id,
      principal: undefined,
      protocolVersion: '2025-11-25',
      ttlMs: 60_000,
      state: { key: 'initialize', data: '{}' },
    },
    { maxPerPrincipal: 10 },
  )

async function beginCall(store: Store) {
  await begin(store, 's')
  await store.openCall({
    scope: 's',
    callId: 'c',
    owner: 'me',
    principal: undefined,
    requestKeys: ['1:1'],
    data: 'request {}',
    ttlMs: 60_000,
    maxOpenCalls: 10,
  })
}

const entry = (seq: number, data = '') => ({ id: `90000000000000-${seq}`, data: `step ${data}` })
const journal = async (store: Store) =>
  ((await store.read('s', 'call:c', '0-0', 100)) ?? []).map(({ id }) => id)

/** A disk of its own, where this user may have one. */
function smallDisk(): string | undefined {
  const dir = newDir()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir], { stdio: 'ignore' })
    onTestFinished(() => void execFileSync('umount', ['-l', dir]))
    return dir
  } catch {
    return undefined
  }
}

describe.each(DRIVERS)('$name', ({ open: openDatabase }) => {
  const open = (path: string) => openWith(openDatabase, path)

  /** Something that is full until it is told to have room. */
  const full = {
    'the disk is full': () => {
      const dir = smallDisk()
      if (dir === undefined) return undefined
      const opened = open(join(dir, 'mcp.db'))
      return {
        ...opened,
        fill: () => {
          const ballast = openSync(join(dir, 'ballast'), 'w')
          try {
            for (let size = 400_000; size > 2000;) {
              try {
                if (writeSync(ballast, Buffer.alloc(size)) < size) size = Math.floor(size / 2)
              } catch {
                size = Math.floor(size / 2)
              }
            }
          } finally {
            closeSync(ballast)
          }
        },
        makeRoom: () => rmSync(join(dir, 'ballast')),
      }
    },
    'the database has as many pages as it may': () => {
      const opened = open(join(newDir(), 'mcp.db'))
      const { database } = opened
      return {
        ...opened,
        fill: () => {
          const { page_count } = database.prepare('PRAGMA page_count').get() as { page_count: number }
          database.exec(`PRAGMA max_page_count = ${page_count + 20}`)
        },
        makeRoom: () => database.exec('PRAGMA max_page_count = 100000'),
      }
    },
  }

  describe.each(Object.entries(full))('%s', (_name, make) => {
    test('what does not fit is refused as a whole, and is stored when there is room', async ({ skip }) => {
      const made = make()
      if (!made) return skip('this user may not mount a disk')
      const { store, fill, makeRoom } = made
      await beginCall(store)
      fill()
      const both = [entry(1), entry(2, LARGE)]
      const outcomes = await Promise.allSettled([
        store.appendCall('s', 'c', both),
        store.readSession('s'),
        store.readValue('s', 'key'),
      ])
      expect(outcomes[0]).toMatchObject({
        status: 'rejected',
        reason: {
          code: 'store-failed',
          message: expect.stringMatching(/nothing was changed: .*disk is full. Make room/) as string,
        },
      })
      // Nothing fails for another one.
      expect(outcomes.slice(1).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled'])
      expect(await journal(store)).toHaveLength(1)

      makeRoom()
      expect(await store.appendCall('s', 'c', both)).toBe('appended')
      expect((await journal(store)).slice(1)).toEqual(both.map(({ id }) => id))
      return undefined
    })
  })

  test.each(['mcp.db', 'mcp.db-wal'])(
    '%s is removed or replaced: nothing more is acknowledged',
    async (name) => {
      const dir = newDir()
      const path = join(dir, 'mcp.db')
      const { store } = open(path)
      await beginCall(store)
      const away = join(dir, 'away')
      renameSync(join(dir, name), away)
      const append = () => store.appendCall('s', 'c', [entry(1)])
      const refused = {
        code: 'store-failed',
        message: expect.stringMatching(/was removed, moved or replaced.*Put back/s) as string,
      }
      await expect(append()).rejects.toMatchObject(refused)
      writeFileSync(join(dir, name), '')
      await expect(append()).rejects.toMatchObject(refused)
      await expect(store.readSession('s')).rejects.toMatchObject(refused)
      await expect(store.waitedFor()).rejects.toMatchObject(refused)

      renameSync(away, join(dir, name))
      expect(await append()).toBe('appended')
      expect(await journal(store)).toHaveLength(2)
    },
  )

  test('a file that can not be written: what is there can be read', async () => {
    const { database, store } = open(join(newDir(), 'mcp.db'))
    await beginCall(store)
    database.exec('PRAGMA query_only = ON')
    await expect(store.appendCall('s', 'c', [entry(1)])).rejects.toMatchObject({
      code: 'store-failed',
      message: expect.stringMatching(/nothing was changed: .*readonly.* Let this process write/) as string,
    })
    expect(await journal(store)).toHaveLength(1)
    database.exec('PRAGMA query_only = OFF')
    expect(await store.appendCall('s', 'c', [entry(1)])).toBe('appended')
  })

  test('a damaged page: who meets it is told so, and nobody is given something else', async () => {
    const path = join(newDir(), 'mcp.db')
    const first = openDatabase(path)
    const before = sqliteStore(first)
    await beginCall(before)
    for (let seq = 1; seq <= 50; seq++) await before.appendCall('s', 'c', [entry(seq, 'x'.repeat(3000))])
    await before.close()
    first.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    const pages = statSync(path).size / 4096
    const pageOf = (
      first.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'entries'").get() as { rootpage: number }
    ).rootpage
    first.close()
    expect(pages).toBeGreaterThan(pageOf)
    const file = openSync(path, 'r+')
    writeSync(file, Buffer.alloc(4096, 7), 0, 4096, (pageOf - 1) * 4096)
    closeSync(file)

    const { store } = open(path)
    const damaged = {
      code: 'store-failed',
      message: expect.stringMatching(
        /nothing was changed: .*malformed. Its file is damaged. Stop all/,
      ) as string,
    }
    await expect(journal(store)).rejects.toMatchObject(damaged)
    await expect(store.appendCall('s', 'c', [entry(51)])).rejects.toMatchObject(damaged)
    expect((await store.readSession('s'))?.protocolVersion).toBe('2025-11-25')
  })

  test('a file that is no database is left as it is', async () => {
    const path = join(newDir(), 'mcp.db')
    writeFileSync(path, 'Dear diary, '.repeat(1000))
    const { store } = open(path)
    await expect(begin(store, 's')).rejects.toMatchObject({
      code: 'store-failed',
      message: expect.stringMatching(/no SQLite database/) as string,
    })
    expect(statSync(path).size).toBe(12_000)
  })

  test('a handle that was closed', async () => {
    const database = openDatabase(join(newDir(), 'mcp.db'))
    const store = sqliteStore(database)
    await begin(store, 's')
    database.close()
    await expect(store.readSession('s')).rejects.toMatchObject({ code: 'store-unavailable' })
    await store.close()
  })

  test('another program holds the lock: it is waited for, and no longer than said', async () => {
    const path = join(newDir(), 'mcp.db')
    const database = openDatabase(path)
    const store = sqliteStore(database, { deadlineMs: 200 })
    await beginCall(store)
    const other = openDatabase(path)
    other.exec('BEGIN IMMEDIATE')
    await expect(store.appendCall('s', 'c', [entry(1)])).rejects.toMatchObject({ code: 'store-timeout' })
    expect((await store.readSession('s'))?.protocolVersion).toBe('2025-11-25')
    const waiting = store.appendCall('s', 'c', [entry(2)])
    other.exec('COMMIT')
    expect(await waiting).toBe('appended')
    expect(await journal(store)).toHaveLength(2)
    other.close()
    await store.close()
    database.close()
  })
})
