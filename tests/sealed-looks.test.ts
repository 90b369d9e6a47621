import { randomBytes } from 'node:crypto'
import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { durable, durableTool, principalState, sealedStore, sessionIdOf, sortedMap } from '@mcp-durable/core'
import type { Durable } from '@mcp-durable/core'
import { sealKeyIds } from '@mcp-durable/core/inspect'
import type { Resealed } from '@mcp-durable/core/inspect'
import { file } from '@mcp-durable/sqlite-store'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { cli, json, startCli } from '../packages/cli/test/support/cli.js'

const MARK = 'Zebra7391'
const WHO = 'somebody@example.org'
const folder = mkdtempSync(join(tmpdir(), 'mcp-durable-sealed-'))
const [database, keyFile, otherFile] = ['mcp.db', 'keys', 'other keys'].map((name) => join(folder, name))
const [key, next] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]
let session = ''
let call = ''

beforeAll(async () => {
  writeFileSync(keyFile!, `# of today\n${randomBytes(32).toString('hex')}\n${key}\n`, { mode: 0o600 })
  writeFileSync(otherFile!, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 })
  const store = sealedStore(file(database!), { keys: [key] })
  const mcp = durable({ store, server, principal: () => WHO })
  session = await sessionOf(mcp)
  await post(mcp, { id: 2, method: 'tools/call', params: { name: 'keep', arguments: { text: MARK } } })
  await sortedMap(store, 'places').insert({ here: Buffer.from(MARK) })
  await mcp.close({ graceMs: 0 })
  ;[{ call }] = (await json<{ calls: { call: string }[] }>('', 'calls', '--ended', ...where, '--full-ids'))
    .calls as [{ call: string }]
}, 30_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const where = ['--sqlite', database!]
const shown = [...where, '--show-payloads', '--full-ids']
const looks = () => [
  ['call', call],
  ['tail', call],
  ['calls', '--ended'],
  ['export', session],
  ['state', session],
  ['map', 'places'],
]

function server() {
  const made = new McpServer({ name: 'sealed', version: '1' })
  made.registerTool(
    'keep',
    { inputSchema: { text: z.string() } },
    durableTool(async ({ text }, ctx) => {
      await ctx.state.set(text)
      return { content: [{ type: 'text', text: await ctx.atLeastOnce('work', () => text) }] }
    }),
  )
  return made
}

let mcpSessionId = ''

async function post(mcp: Durable, message: object) {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...(mcpSessionId !== '' && { 'mcp-session-id': mcpSessionId }),
  }
  const body = JSON.stringify({ jsonrpc: '2.0', ...message })
  const response = await mcp.fetch(new Request('http://localhost/mcp', { method: 'POST', headers, body }))
  await response.text()
  return response
}

async function sessionOf(mcp: Durable) {
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: MARK, version: '1' },
  }
  const begun = await post(mcp, { id: 1, method: 'initialize', params })
  mcpSessionId = begun.headers.get('mcp-session-id') ?? ''
  await post(mcp, { method: 'notifications/initialized' })
  return sessionIdOf(mcpSessionId)
}

/** All of them at once: each is a process. */
const looked = (commands: readonly string[][], ...more: string[]) =>
  Promise.all(commands.map(async (look) => ({ look, ...(await cli('', ...look, ...shown, ...more)) })))

test('with the key file every look shows what is in the store', async () => {
  for (const { look, stdout, stderr } of await looked(looks(), '--key-file', keyFile!)) {
    expect({ look, stderr, stdout }).toEqual({
      look,
      stderr: '',
      stdout: expect.not.stringContaining('sealed') as string,
    })
    if (look[0] !== 'calls') expect(stdout).toContain(MARK)
  }
})

test('without the key a look says which one is missing, and fails at nothing', async () => {
  const others = await looked([['call', call]], '--key-file', otherFile!)
  for (const { look, code, stdout, stderr } of [...(await looked(looks())), ...others]) {
    expect({ look, code, stderr }).toEqual({ look, code: 0, stderr: '' })
    expect(stdout).toMatch(/\(sealed, key [0-9a-f]{8}\)/)
    expect(stdout).not.toContain(MARK)
  }
})

/** What the page is told first under that name. */
async function heard<T>(url: string, name: string): Promise<T> {
  const end = new AbortController()
  setTimeout(() => end.abort(), 20_000).unref()
  const response = await fetch(url, { signal: end.signal })
  let text = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    const found = new RegExp(`^event: ${name}\ndata: (.*)\n\n`, 'm').exec(text)
    if (!found) continue
    end.abort()
    return JSON.parse(found[1]!) as T
  }
  throw new Error(`no ${name} was told:\n${text}`)
}

test('the page shows a session, opened with the key file, and masks what the terminal masks', async () => {
  const look = async (...more: string[]) => {
    await using web = await startCli('', 'monitor', '--web', '--port', '0', ...where, ...more)
    const { input = '' } = await web.waitForLine(/listening on/)
    const url = /http:[^\s,]+/.exec(input)![0]
    const [row] = await heard<{ session: string }[]>(`${url}/events`, 'sessions')
    const head = await heard<{ head: object }>(`${url}/events?session=${row!.session}`, 'session')
    return { frame: JSON.stringify(head), head }
  }
  const open = await look('--show-payloads', '--full-ids', '--key-file', keyFile!)
  expect(open.head).toMatchObject({
    head: {
      principal: WHO,
      client: `${MARK} 1`,
      status: 'idle',
      calls: [{ title: 'tools/call keep', status: 'completed' }],
    },
  })
  expect(open.frame).toContain('step work done')
  expect(open.frame).not.toContain('sealed, key')
  const closed = await look()
  expect(closed.frame).toMatch(/sealed, key [0-9a-f]{8}/)
  expect(closed.frame).not.toContain(MARK)
  expect(closed.frame).not.toContain(WHO)
})

test('a key file that others may read, or that holds no keys, is refused', async () => {
  const loose = join(folder, 'loose')
  writeFileSync(loose, key)
  chmodSync(loose, 0o644)
  expect(await cli('', 'calls', ...where, '--key-file', loose)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`chmod 600 ${loose}`) as string,
  })
  const wrong = join(folder, 'wrong')
  writeFileSync(wrong, 'a password\n', { mode: 0o600 })
  const { code, stderr } = await cli('', 'calls', ...where, '--key-file', wrong)
  expect({ code, says: stderr.includes('holds no keys'), leaks: stderr.includes('password') }).toEqual({
    code: 1,
    says: true,
    leaks: false,
  })
  expect((await cli('', 'calls', ...where, '--key-file', join(folder, 'none'))).stderr).toContain(
    "can't be read",
  )
})

test('acting on a call needs the key, and says so', async () => {
  expect((await cli('', 'retry', call, ...where)).stderr).toMatch(
    /sealed with the key [0-9a-f]{8}.*\n {2}Give a file that has that key: --key-file FILE\n$/,
  )
  const { stderr } = await cli('', 'retry', call, ...where, '--key-file', keyFile!)
  expect(stderr).toContain('the call has ended with a result')
})

test('the doctor says what is not sealed, what nobody has the key of, and who does not seal', async () => {
  const examined = async (...more: string[]) => {
    const { code, stdout } = await cli('', 'doctor', ...where, '--json', ...more)
    const { findings } = JSON.parse(stdout) as { findings: { level: string; check: string; found: string }[] }
    const of = (check: string) => findings.find((finding) => finding.check === check)
    return { code, of }
  }
  const right = await examined('--key-file', keyFile!)
  expect(right.of('sealing')).toMatchObject({ level: 'ok' })
  expect((await examined()).of('sealed')).toMatchObject({ level: 'note' })
  const wrong = await examined('--key-file', otherFile!)
  expect(wrong.code).toBe(1)
  expect(wrong.of('sealed with another key')).toMatchObject({
    level: 'risk',
    found: expect.stringMatching(/^\d+ of \d+ records that were looked at: key [0-9a-f]{8}$/) as string,
  })
  const store = file(database!)
  await sortedMap(store, 'places').insert({ there: Buffer.from(MARK) })
  const about = { host: 'here', pid: 1, startedAt: 1, clock: Date.now() }
  await store.beat('one', JSON.stringify({ ...about, sealKeys: sealKeyIds([key]) }))
  await store.beat('two', JSON.stringify(about))
  const mixed = await examined()
  expect(mixed.of('records that are not sealed')?.found).toMatch(/^1 of \d+ records/)
  expect(mixed.of('nodes that do not seal')).toMatchObject({ level: 'risk', found: 'here:1 two' })
  expect(mixed.of('sealed with another key')).toBeUndefined()
  for (const node of ['one', 'two']) {
    await store.leave(node)
    await store.removeNode(node, 0)
  }
  await sortedMap(store, 'places').remove('there')
  await store.close()
})

test('with --secrets a principal is looked at, its secrets are sealed again, and it is forgotten', async () => {
  const [path, secretsPath, rotated] = ['ann.db', 'secrets.db', 'two keys'].map((name) => join(folder, name))
  writeFileSync(rotated!, `${next}\n${key}\n`, { mode: 0o600 })
  const [raw, secrets] = [file(path!), file(secretsPath!)]
  const store = sealedStore(raw, { keys: [key], secrets })
  await principalState(store, 'ann').set(MARK)
  await Promise.all([store.close(), secrets.close()])
  const ofAnn = ['--principal', 'ann', '--sqlite', path!, '--key-file', rotated!]
  const withSecrets = ['--secrets', `sqlite:${secretsPath!}`]
  const look = async (...more: string[]) =>
    (await cli('', 'state', ...ofAnn, '--show-payloads', ...more)).stdout.includes(MARK)
  expect(await Promise.all([look(), look(...withSecrets)])).toEqual([false, true])
  const done = await json<Resealed>('', 'reseal', ...ofAnn.slice(2), ...withSecrets)
  expect(done).toMatchObject({ resealed: 2, unreadable: 0 })
  const backup = join(folder, 'backup.db')
  for (const end of ['', '-wal']) if (existsSync(path! + end)) copyFileSync(path! + end, backup + end)
  ofAnn[3] = backup
  expect(await look(...withSecrets)).toBe(true)
  expect((await cli('', 'clear', '--principal', 'ann', '--sqlite', path!, ...withSecrets)).code).toBe(2)
  const clearing = ['--principal', 'ann', '--sqlite', path!, '--key-file', rotated!, '--yes']
  expect((await cli('', 'clear', ...clearing, ...withSecrets)).code).toBe(0)
  expect(await look(...withSecrets)).toBe(false)
})

test('reseal seals states and maps with the newest key, and counts what is left to older ones', async () => {
  const rotated = join(folder, 'rotated')
  writeFileSync(rotated, `${next}\n${key}\n`, { mode: 0o600 })
  const once = await json<Resealed>('', 'reseal', ...where, '--key-file', rotated)
  expect(once).toMatchObject({ resealed: 2, current: 0, unreadable: 0 })
  expect(Object.values(once.left)).toEqual([{ sessions: 1, calls: 1, changes: 0 }])
  expect(await json('', 'reseal', ...where, '--key-file', rotated)).toMatchObject({ resealed: 0, current: 2 })
  writeFileSync(rotated, `${next}\n`, { mode: 0o600 })
  const [state, map] = await looked(
    [
      ['state', session],
      ['map', 'places'],
    ],
    '--key-file',
    rotated,
  )
  expect([state?.stdout.includes(MARK), map?.stdout.includes(MARK)]).toEqual([true, true])
})
