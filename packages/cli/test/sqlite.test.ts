import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, open, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Store } from '@mcp-durable/core'
import type { CallPlace } from '@mcp-durable/core/runs'
import { NOBODY } from '@mcp-durable/core/store'
import { file } from '@mcp-durable/sqlite-store'
import { openTarget } from '@mcp-durable/sqlite-store/transfer'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fill } from '../../redis-store/test/filled-store.js'
import { cli, json as jsonOf, MAIN, out as outOf, startCli } from './support/cli.js'

// Nothing answers here: a command that asked Redis would fail.
const NOWHERE = 'redis://127.0.0.1:1'
let folder: string
let path: string
let call: CallPlace

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-durable-cli-'))
  path = join(folder, 'mcp.db')
  const store = file(path)
  await fill(store)
  const named = store.open({ name: 'shop' })
  await fill(named)
  await named.close()
  call = await openCall(store)
  await store.close()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** That waits for its client. */
async function openCall(store: Store): Promise<CallPlace> {
  const place = { scope: 'plain', callId: randomUUID() }
  const session = {
    protocolVersion: '2025-11-25',
    state: { key: 'initialize', data: '{}' },
    ttlMs: 3_000_000,
  }
  await store.createSession({ ...session, id: 'plain', principal: 'bob' }, { maxPerPrincipal: 9 })
  const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'book' } }
  const request = { messages: [message], batch: false, protocol: '2025-11-25', node: '' }
  const data = `request ${JSON.stringify(request)}`
  const limits = { ttlMs: 3_600_000, maxOpenCalls: 100 }
  const requestKeys = [place.callId]
  await store.openCall({
    ...place,
    ...limits,
    owner: NOBODY,
    principal: 'bob',
    requestKeys,
    data,
    server: 'shop',
  })
  return place
}

/** A process that closes a file loses the locks of its handles on it: so this is done by another one. */
const copyElsewhere = (from: string, to: string) => execFileSync('cp', [from, to])

const out = (...args: string[]) => outOf(NOWHERE, ...args, '--sqlite', path)
const json = <T>(...args: string[]) => jsonOf<T>(NOWHERE, ...args, '--sqlite', path)
const failure = async (...args: string[]) => {
  const { code, stderr } = await cli(NOWHERE, ...args)
  return `${code} ${stderr}`
}

describe('looking into a file', () => {
  test('sessions, one session, its export and its state', async () => {
    const { total, sessions } = await json<{ total: number; sessions: { id: string }[] }>(
      'sessions',
      '--full-ids',
    )
    expect(total).toBe(4)
    expect(sessions.map(({ id }) => id)[0]).toBe('nobodys')
    expect(await out('session', 'talks')).toContain('principal ann')
    expect(await out('export', 'talks', '--show-payloads')).toContain('message 499')
    expect(await out('state', 'talks', '--show-payloads')).toContain('from a call')
    expect(await out('sessions', '--name', 'none')).toBe(`no sessions in ${path} under the name none\n`)
  })

  test('calls, of a principal and by a short id, and maps', async () => {
    expect(await out('calls')).toMatch(/book.*waiting/)
    expect(await out('calls', '--principal', 'nobody')).toBe('no open calls of the principal nobody\n')
    expect(await out('call', call.callId.slice(0, 8))).toContain('tools/call book')
    expect(await out('map')).toContain('stock')
    expect(await out('map', 'stock', '--after', 'key 1', '--limit', '2', '--show-payloads')).toMatch(
      /key 10 .*\n.*key 100 /,
    )
    expect(await out('map', 'stock', '--reverse', '--limit', '1', '--show-payloads')).toContain('ünï')
  })

  test('the monitor, a line for each look', async () => {
    const [look = ''] = (await out('monitor', '--count', '1', '--json')).split('\n')
    expect(JSON.parse(look)).toMatchObject({ where: path, totalSessions: 4 })
  })

  test('where no store is named, the file of the folder is taken', () => {
    const env = { ...process.env, REDIS_URL: '' }
    const said = execFileSync(process.execPath, [MAIN, 'sessions', '--name', 'none'], { cwd: folder, env })
    expect(said.toString()).toBe('no sessions in mcp.db under the name none\n')
  })

  test('nothing is written, and the file may be one that can only be read', async () => {
    const copy = join(folder, 'copy.db')
    copyElsewhere(path, copy)
    const before = await stat(copy)
    await outOf(NOWHERE, 'sessions', '--sqlite', copy)
    expect((await stat(copy)).mtimeMs).toBe(before.mtimeMs)
    expect(await readdir(folder)).not.toContain('copy.db-peers')
  })
})

describe('acting on what is in a file', () => {
  test('a call is cancelled, ended by a node, and done again', async () => {
    expect(await out('cancel', call.callId)).toContain('is asked to end')
    const store = file(path)
    // As the node that claims it would.
    const end = { id: `${Date.now() + 60_000}-1`, data: 'cancelled "enough"' }
    const close = { requestKeys: [call.callId], retainMs: 60_000 }
    expect(await store.appendCall(call.scope, call.callId, [end], close)).toBe('appended')
    expect(await out('retry', call.callId, '--yes')).toContain('is for the nodes to run')
    const calls = await store.listOpenCalls('plain')
    expect(calls).toHaveLength(1)
    const made = calls[0]?.callId ?? ''
    expect(await failure('resume', made, '--sqlite', path)).toContain('does not sleep')
    expect(await failure('fork', made, '--from', 'a', '--sqlite', path)).toMatch(/^1 error: /)
    await store.close()
  })

  test('a session is followed, and deleted under the eyes of who follows', async () => {
    const tail = await startCli(NOWHERE, 'tail', 'talks', '--sqlite', path, '--lines', '1')
    await tail.waitForLine(/./)

    const store = file(path)
    await store.append('talks', 'out', '{"jsonrpc":"2.0","method":"notifications/x"}', {
      nonce: 'n',
      maxLength: 1000,
    })
    await tail.waitForLine(/notifications\/x/)
    expect(await out('clear', 'talks', '--yes')).toContain('deleted 1 session')
    await tail.exited
    expect(await out('clear', '--principal', 'ann', '--yes')).toContain('deleted 0 sessions')
    expect(await out('clear', '--all', '--yes')).toContain('deleted 3 sessions')
    expect(await out('sessions')).toBe(`no sessions in ${path}\n`)
    await store.close()
  })
})

describe('the doctor of a file', () => {
  test('tells of the file, and of what may be read by others', async () => {
    const { stdout: found } = await cli(NOWHERE, 'doctor', '--sqlite', path)
    for (const check of ['file', 'permissions', 'journal mode', 'size', 'disk', 'integrity'])
      expect(found).toContain(`ok    ${check}: `)
    await chmod(path, 0o644)
    const told = await cli(NOWHERE, 'doctor', '--sqlite', path)
    expect(told).toMatchObject({ code: 1 })
    expect(told.stdout).toContain('RISK  permissions: 0644')
    await chmod(path, 0o600)
  })

  test('finds a damaged page', async () => {
    const damaged = join(folder, 'damaged.db')
    copyElsewhere(path, damaged)
    const opened = await open(damaged, 'r+')
    const { size } = await opened.stat()
    // All pages but the first ones, that hold the schema.
    const noise = Buffer.alloc(4096, 7)
    for (let at = 20 * 4096; at < size; at += 4096) await opened.write(noise, 0, noise.length, at)
    await opened.close()
    const { code, stdout, stderr } = await cli(NOWHERE, 'doctor', '--sqlite', damaged)
    expect(code).toBe(1)
    expect(stdout + stderr).toMatch(/RISK {2}integrity: |malformed/)
  })
})

describe('what is no file of a store', () => {
  test('is told of, with what to do', async () => {
    const missing = join(folder, 'missing.db')
    expect(await failure('sessions', '--sqlite', missing)).toMatch(
      /^1 error: there is no file .*missing\.db\.\n {2}Say where/,
    )
    expect(await failure('sessions', '--sqlite', folder)).toContain('is a folder')
    const text = join(folder, 'text.db')
    await writeFile(text, 'not a database, but long enough to be one '.repeat(100))
    expect(await failure('doctor', '--sqlite', text)).toContain('is not a database')
    expect(await readdir(folder)).not.toContain('missing.db')
  })

  test('so are a file of a later version, one of another program, and one that somebody holds', async () => {
    const other = join(folder, 'other.db')
    const later = join(folder, 'later.db')
    copyElsewhere(path, later)
    const [written, raised] = [openTarget(other), openTarget(later)]
    written.exec('PRAGMA user_version = 0; DROP TABLE scopes')
    raised.exec('PRAGMA user_version = 99')
    written.close()
    raised.close()
    expect(await failure('sessions', '--sqlite', other)).toContain('holds no tables of a store')
    expect(await failure('sessions', '--sqlite', later)).toContain('later version')
    const exclusive = join(folder, 'exclusive.db')
    copyElsewhere(path, exclusive)
    const held = openTarget(exclusive)
    held.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
    expect(await failure('sessions', '--sqlite', exclusive)).toMatch(/held the SQLite file|locked/)
    held.exec('COMMIT')
    held.close()
  })

  test('whatever is typed wrong is one line, and what to do next', async () => {
    const text = join(folder, 'typed.db')
    const syntax = join(folder, 'syntax.mjs')
    await writeFile(text, 'not a database, but long enough to be one '.repeat(100))
    await writeFile(syntax, 'const x = ;')
    const here = ['--sqlite', path]
    const typed = [
      ['sessions', '--nothing', ...here],
      ['calls', '--status', 'nothing', ...here],
      ...['call', 'cancel', 'retry', 'resume', 'tail', 'export'].map((name) => [name, 'nothing', ...here]),
      ['fork', 'nothing', '--from', 'a', ...here],
      ['clear', 'nothing', '--yes', '--json', ...here],
      ['replay', join(folder, 'nothing.jsonl'), '--code', syntax],
      ['replay', call.callId.slice(0, 8), '--code', syntax, ...here],
      ['migrate', '--from', path, '--to', 'sqlite:x.db'],
      ['migrate', '--from', `sqlite:${text}`, '--to', `sqlite:${join(folder, 'none.db')}`],
      ['migrate', '--from', `sqlite:${path}`, '--to', 'sqlite:/nowhere/x.db'],
      ['reseal', ...here, '--key-file', join(folder, 'nothing')],
      ['monitor', '--web', '--port', '0', '--sqlite', text],
      ['proxy', '--stdio', '--port', '0', '--sqlite', folder, '--', process.execPath],
      // A file is no folder, to anybody: what is below it can't even be asked for.
      ['sessions', '--sqlite', join(path, 'x.db')],
    ]
    const answers = await Promise.all(typed.map(async (args) => ({ args, ...(await cli(NOWHERE, ...args)) })))
    for (const { args, code, stdout, stderr } of answers) {
      expect({ args, code: [1, 2].includes(code ?? 0), stdout }).toEqual({ args, code: true, stdout: '' })
      expect(stderr, args.join(' ')).toMatch(/^error: .+\n {2}\S/)
      expect(stderr, args.join(' ')).not.toMatch(/^ +at /m)
    }
  })

  test('so are two stores at once, and a prefix', async () => {
    expect(await failure('sessions', '--sqlite', path, '--redis', NOWHERE)).toMatch(/^2 .*two stores/)
    expect(await failure('sessions', '--sqlite', path, '--prefix', 'a')).toMatch(/^2 .*--prefix is of Redis/)
  })
})
