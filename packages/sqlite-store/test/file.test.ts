import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { file } from '@mcp-durable/sqlite-store'
import { afterEach, beforeEach, expect, test } from 'vitest'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-durable-file-'))
  path = join(folder, 'mcp.db')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const session = (id: string) => ({
  id,
  principal: 'ann',
  protocolVersion: '2025-11-25',
  state: { key: 'initialize', data: '{}' },
  ttlMs: 60_000,
})
const LIMITS = { maxPerPrincipal: 100 }

/** As another process that opens the file, reads, and closes it: if nobody else seems to have it, SQLite deletes the write-ahead log. */
function readElsewhere() {
  const driver = createRequire(import.meta.url).resolve('libsql')
  const script = `const database = new (require(${JSON.stringify(driver)}))(${JSON.stringify(path)})
    database.prepare('SELECT count(*) FROM scopes').get()
    database.close()`
  execFileSync(process.execPath, ['-e', script])
}

test('a second store in one process leaves the locks of the first one alone', async () => {
  const first = file(path)
  await first.createSession(session('one'), LIMITS)
  const second = file(path)
  readElsewhere()
  expect(existsSync(`${path}-wal`)).toBe(true)
  await second.createSession(session('two'), LIMITS)
  await second.close()
  expect((await first.listSessions(undefined, 10)).ids).toEqual(['one', 'two'])
  readElsewhere()
  await first.createSession(session('three'), LIMITS)
  await first.close()
  const third = file(path)
  expect((await third.listSessions(undefined, 10)).ids).toEqual(['one', 'three', 'two'])
  await third.close()
})

test('the file is for this user alone', async () => {
  const store = file(path)
  await store.createSession(session('one'), LIMITS)
  for (const name of [path, `${path}-wal`]) expect((await stat(name)).mode & 0o777).toBe(0o600)
  await store.close()
})
