import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CallPlace, Inspection } from '@mcp-durable/core/inspect'
import { inspectSqlite, openReadOnly } from '@mcp-durable/sqlite-store/inspect'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { spawnCli } from './support/cli.js'
import { spawnNode, waitFor } from '../test-support/index.js'

// Calls of a server whose process was killed, tried against other code: no step runs, and nothing is written.

const CODE = fileURLToPath(new URL('dist/order.js', import.meta.url))
let folder: string
let path: string
let ledger: string
let database: ReturnType<typeof openReadOnly>
let inspect: Inspection
/** In a session, and in none. */
let calls: [CallPlace, CallPlace]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mcp-durable-replay-'))
  path = join(folder, 'mcp.db')
  ledger = join(folder, 'ledger')
  const node = await spawnNode('tests/dist/order-node.js', [path, 'v1'], { env: { LEDGER: ledger } })
  const post = (message: object, more: Record<string, string> = {}) =>
    fetch(node.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...more,
      },
      body: JSON.stringify({ jsonrpc: '2.0', ...message }),
    })
  const clientInfo = { name: 'raw', version: '1' }
  const begun = await post({
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo },
  })
  await begun.text()
  const session = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
  await (await post({ method: 'notifications/initialized' }, session)).text()
  const order = (item: string, _meta?: object) => ({
    id: 2,
    method: 'tools/call',
    params: { name: 'order', arguments: { item }, ...(_meta && { _meta }) },
  })
  const own = 'io.modelcontextprotocol'
  const meta = {
    [`${own}/protocolVersion`]: '2026-07-28',
    [`${own}/clientCapabilities`]: {},
    [`${own}/clientInfo`]: clientInfo,
  }
  const alone = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'order' }
  // The process that answers them is killed.
  const answers = [post(order('a book'), session), post(order('a lamp', meta), alone)]
  for (const answer of answers) answer.then((each) => each.text()).catch(() => undefined)

  database = openReadOnly(path)
  inspect = inspectSqlite(database, { name: undefined })
  const napping = await waitFor(
    async () => {
      const found: CallPlace[] = []
      for await (const page of inspect.calls.all()) found.push(...page)
      const naps = await Promise.all(found.map(async (call) => (await journalOf(call)).includes('deadline')))
      return found.length === 2 && naps.every(Boolean) ? found : undefined
    },
    { what: 'two calls that sleep' },
  )
  await node.kill('SIGKILL')
  calls = napping.toSorted(
    (a, b) => Number(a.scope === a.callId) - Number(b.scope === b.callId),
  ) as typeof calls
})
afterAll(async () => {
  database?.close()
  await rm(folder, { recursive: true, force: true })
})

async function journalOf({ scope, callId }: CallPlace): Promise<string> {
  const entries = await inspect.logs.read(scope, `call:${callId}`, undefined, 500)
  return entries.map(({ id, data }) => `${id} ${data}`).join('\n')
}

/** Runs `mcp-durable replay` with other code. */
const replay = (code: string, ...args: string[]) =>
  spawnCli(['replay', ...args, '--code', CODE], { ORDER_CODE: code, LEDGER: ledger })
const ofStore = (code: string, ...args: string[]) =>
  replay(code, calls[0].callId.slice(0, 8), '--sqlite', path, ...args)

describe('a call of a killed node', () => {
  test('fits its own code, and new code that asks which journal it has', async () => {
    const [own, patched] = await Promise.all([ofStore('v1'), ofStore('patched')])
    expect(own).toMatchObject({ code: 0, stderr: '' })
    expect(own.stdout).toMatch(/^call [\w-]{6}… {2}tools\/call order, run by version v1\n/)
    expect(
      own.stdout
        .split('\n')
        .slice(1, -1)
        .map((line) => line.trim()),
    ).toEqual([
      'fits    began',
      'fits    hold',
      'fits    charge (‹6 B›)',
      'next    pause',
      'fits: 3 steps; the journal ends here, and the code goes on with "pause"',
    ])
    expect(patched.code, patched.stdout).toBe(0)
  })

  test.each([
    ['inserted', 'the journal goes on with the step "charge", and the code with "check"'],
    ['renamed', 'the journal goes on with the step "charge", and the code with "pay"'],
    ['removed', 'the code waits for the step "pause", and does not come to "charge"'],
    ['kind', 'the code has another kind of step under the name "hold"'],
    ['plain', 'the tool "order" is not made by durableTool() in this code'],
  ])('does not fit: %s', async (code, why) => {
    const { stdout, stderr, code: exit } = await ofStore(code, '--within', '2s')
    expect(stdout, stderr).toContain(`does not fit: ${why}`)
    expect(exit).toBe(1)
  })

  test.each([
    ['throws', 'it throws Error: there is no database here'],
    ['exits', 'the code ends its process with 3'],
    ['stands', 'Behind the step "hold" the code waits for more than 1000 ms'],
  ])('can not be tried: %s', async (code, why) => {
    const { stdout, stderr, code: exit } = await ofStore(code, '--within', '1s')
    expect(stdout + stderr).toContain(why)
    expect(exit).toBe(2)
  })

  test('as JSON, all that are open, and one that fits not is enough', async () => {
    const { stdout, code } = await replay('renamed', '--all', '--sqlite', path, '--json', '--show-payloads')
    expect(code).toBe(1)
    const step = (name: string, key?: string) => (key === undefined ? { name } : { name, key })
    expect(JSON.parse(stdout)).toMatchObject({
      fits: 0,
      differs: 2,
      untried: 0,
      calls: [
        { verdict: 'differs', version: 'v1', reached: [step('began'), step('hold')] },
        { verdict: 'differs', version: 'v1', problem: { kind: 'new-step' } },
      ],
    })
    expect(JSON.stringify(JSON.parse(stdout))).toContain('"missing":[{"name":"charge","key":"a book"}]')
    expect(await replay('v1', '--all', '--sqlite', path)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('2 calls: 2 fit, 0 do not, 0 could not be tried') as string,
    })
  })

  test('from files, where there is no store', async () => {
    const files = await Promise.all(
      calls.map(async ({ callId }, place) => {
        const to = join(folder, `${place}.jsonl`)
        const args = ['export', callId, '--sqlite', path, '--show-payloads', '--full-ids']
        const { stdout, code } = await spawnCli(args)
        expect(code).toBe(0)
        await writeFile(to, stdout)
        return to
      }),
    )
    const masked = join(folder, 'masked.jsonl')
    await writeFile(masked, (await spawnCli(['export', calls[0].callId, '--sqlite', path])).stdout)
    const [fits, renamed, no] = await Promise.all([
      replay('v1', ...files),
      replay('renamed', ...files),
      replay('v1', masked),
    ])
    expect(fits, fits.stderr).toMatchObject({ code: 0 })
    expect(renamed.stdout).toContain('2 calls: 0 fit, 2 do not, 0 could not be tried')
    expect(renamed.code).toBe(1)
    expect(no.stderr).toContain("masked.jsonl can't be tried: its payloads or ids are masked")
    expect(no.code).toBe(2)
  })

  test('what is wrong with the command line is said', async () => {
    const without = await spawnCli(['replay', 'x'])
    expect(without).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('replay needs --code FILE') as string,
    })
    expect(await replay('v1')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('replay needs one of: CALLs, --all') as string,
    })
    expect(await spawnCli(['replay', 'x', '--code', 'y', '--sqlite', '/nowhere/mcp.db'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('there is no file /nowhere/mcp.db') as string,
    })
    const nothing = await spawnCli(['replay', calls[0].callId, '--code', '/nowhere.js', '--sqlite', path])
    expect(nothing).toMatchObject({ code: 2 })
    expect(nothing.stderr).toMatch(/^error: there is no file \/nowhere\.js\.\n {2}Give the module /)
    const within = ['replay', calls[0].callId, '--code', join(path, 'x.js'), '--sqlite', path]
    const unreadable = await spawnCli(within)
    expect(unreadable.stderr).toMatch(/^error: \S+ can't be read: ENOTDIR.*\n {2}Give the module /)
    for (const { stderr } of [nothing, unreadable]) expect(stderr).not.toContain(' at ')
  })

  test('after all that its journal is what it was, and nothing was done', async () => {
    const before = await Promise.all(calls.map(journalOf))
    const done = await readFile(ledger, 'utf8')
    for (const code of ['v1', 'inserted']) await ofStore(code)
    expect(await Promise.all(calls.map(journalOf))).toEqual(before)
    expect(await readFile(ledger, 'utf8')).toBe(done)
    expect(done.trim().split('\n').toSorted()).toEqual([
      'charge a book',
      'charge a lamp',
      'hold a book',
      'hold a lamp',
    ])
  })
})
