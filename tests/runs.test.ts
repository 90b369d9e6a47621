import { isDeepStrictEqual } from 'node:util'
import { durable, durableTool, sessionIdOf } from '@mcp-durable/core'
import type { Durable, DurableOptions, Store } from '@mcp-durable/core'
import { RunRefusedError } from '@mcp-durable/core/errors'
import { listCalls } from '@mcp-durable/core/inspect'
import { runsOf } from '@mcp-durable/core/runs'
import type { CallPlace } from '@mcp-durable/core/runs'
import { isParked as isNobodys } from '@mcp-durable/core/store'
import { redisStore } from '@mcp-durable/redis-store'
import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { cli, json, out } from '../packages/cli/test/support/cli.js'
import { startRedis, waitFor, type RedisServer } from '../test-support/index.js'

// Acting on calls from outside, as whoever operates the server does: by the API, and by the command line.

const VERSION = '2026-07-28'
const META = 'io.modelcontextprotocol'
const QUESTION = { message: 'Which colour?', requestedSchema: { type: 'object', properties: {} } } as const
/** Every command is a process. */
const LONG = { timeout: 120_000 }

let redis: RedisServer
let client: Redis
let store: Store
let nodes: Durable[]
/** What tools did, in their order. */
let did: string[]
let isBroken = true
beforeAll(async () => {
  redis = await startRedis()
  client = new Redis(redis.url)
  store = redisStore(client)
  nodes = [node(), node()]
})
beforeEach(() => {
  did = []
  isBroken = true
})
afterAll(async () => {
  await Promise.all(nodes.map((mcp) => mcp.close({ graceMs: 0 })))
  await store.close()
  client.disconnect()
  await redis[Symbol.asyncDispose]()
})

function node({
  server = createServer,
  ...options
}: Partial<DurableOptions> & { server?: () => McpServer } = {}): Durable {
  return durable({
    store: redisStore(client),
    principal: ({ headers }) => headers.get('x-user') ?? undefined,
    logger: { error() {}, warn() {}, info() {}, debug() {} },
    serverIdleMs: 200,
    ...options,
    server: () => server(),
  } as DurableOptions)
}

function createServer(): McpServer {
  const server = new McpServer({ name: 'runs', version: '1' })
  const ask = durableTool(async (_args, ctx) => {
    const { action } = await ctx.elicit('colour', QUESTION)
    return { content: [{ type: 'text' as const, text: action }] }
  })
  const run = durableTool(async (_args, ctx) => {
    did.push('began')
    await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
    did.push(`stopped: ${(ctx.signal.reason as Error).message}`)
    return { content: [] }
  })
  const nap = durableTool(async (_args, ctx) => {
    await ctx.sleep('a while', 3_600_000)
    did.push('woke')
    await ctx.sleep('again', 3_600_000)
    did.push('woke again')
    return { content: [] }
  })
  // Three kinds of steps; fails in the last one unless it is told not to.
  const book = durableTool(async (_args, ctx) => {
    const hold = await ctx.atLeastOnce('hold', () => did.push('hold'))
    const id = await ctx.uuid7('id')
    await ctx.atMostOnce('charge', () => did.push(`charge ${hold}`))
    await ctx.sleep('a moment', 1)
    const confirm = () => {
      did.push('confirm')
      if (isBroken) throw new Error('broken')
    }
    await ctx.atLeastOnce('confirm', confirm, { attempts: 1 })
    return { content: [{ type: 'text' as const, text: id }] }
  })
  server.registerTool('book', { inputSchema: { table: z.number().optional() } }, book)
  server.registerTool('gone', { inputSchema: {} }, () => {
    did.push('gone')
    return { content: [], isError: true }
  })
  server.registerTool('hangs', { inputSchema: {} }, async (_args, { signal }) => {
    did.push('hangs')
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    return { content: [] }
  })
  const beside = durableTool(async (_args, ctx) => {
    for (const key of ['a', 'b']) await ctx.atLeastOnce('item', () => did.push(`item ${key}`), { key })
    const first = ctx.atMostOnce('first', async () => {
      did.push('first')
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
    })
    await ctx.atLeastOnce('second', () => did.push('second'))
    await ctx.sleep('third', 3_600_000)
    await first
    return { content: [] }
  })
  server.registerTool('beside', { inputSchema: {} }, beside)
  server.registerTool('ask', { inputSchema: {} }, ask)
  server.registerTool('run', { inputSchema: {} }, run)
  server.registerTool('nap', { inputSchema: {} }, nap)
  server.registerTool('fine', { inputSchema: {} }, () => ({ content: [] }))
  server.registerTool('fails', { inputSchema: {} }, () => ({ content: [], isError: true }))
  return server
}

type Opened = CallPlace & { ended: Promise<string> }

async function opened(response: Response, scope?: string): Promise<Opened> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  const first = (await reader.read()).value ?? ''
  const callId = /^id: ([\w-]{22})\./m.exec(first)?.[1] ?? ''
  const rest = async () => {
    let text = first
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value
    return text
  }
  const ended = rest()
  ended.catch(() => undefined)
  return { scope: scope ?? callId, callId, ended }
}

/** Without a session. */
async function begin(name: string, { user, at = nodes[0]! }: { user?: string; at?: Durable } = {}) {
  const _meta = {
    [`${META}/protocolVersion`]: VERSION,
    [`${META}/clientCapabilities`]: { elicitation: {} },
    [`${META}/clientInfo`]: { name: 'someone', version: '1' },
  }
  const headers = {
    'mcp-protocol-version': VERSION,
    'mcp-method': 'tools/call',
    'mcp-name': name,
    ...(user !== undefined && { 'x-user': user }),
  }
  return opened(
    await post(at, { id: 1, method: 'tools/call', params: { name, arguments: {}, _meta } }, headers),
  )
}

function post(at: Durable, message: object, more: Record<string, string>) {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...more,
  }
  const body = JSON.stringify({ jsonrpc: '2.0', ...message })
  return at.fetch(new Request('http://127.0.0.1/mcp', { method: 'POST', headers, body }))
}

/** In a session of its own. */
async function beginInSession(name: string, at = nodes[0]!) {
  const clientInfo = { name: 'someone', version: '1' }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
  const response = await post(at, { id: 0, method: 'initialize', params }, {})
  await response.text()
  const session = response.headers.get('mcp-session-id') ?? ''
  const of = { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' }
  await (await post(at, { method: 'notifications/initialized' }, of)).text()
  const call = { id: 1, method: 'tools/call', params: { name, arguments: {} } }
  return opened(await post(at, call, of), sessionIdOf(session))
}

const runs = () => runsOf(store, { by: 'ann' })

const ended = (call: CallPlace) =>
  waitFor(async () => {
    const [kind] = (await kindsOf(call)).slice(-1)
    return kind === 'response' || kind === 'cancelled'
  })
/** The last record, of a call that has ended. */
const endOf = async (call: CallPlace) => {
  await ended(call)
  return (await recordsOf(call)).at(-1) ?? ''
}

async function recordsOf({ scope, callId }: CallPlace): Promise<string[]> {
  const entries = await store.read(scope, `call:${callId}`, '0-0', 1000)
  return (entries ?? []).map(({ data }) => data)
}
const kindsOf = async (call: CallPlace) => (await recordsOf(call)).map((data) => /^\w+/.exec(data)?.[0])

async function refusal(work: Promise<unknown>): Promise<RunRefusedError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(RunRefusedError)
  return error as RunRefusedError
}

/** The ids and values of the steps that have ended. */
async function endedSteps(call: CallPlace): Promise<string[]> {
  const records = (await recordsOf(call)).filter((data) => data.startsWith('step '))
  const steps = records.map((data) => JSON.parse(data.slice('step '.length)) as { id: string; phase: string })
  return steps.filter(({ id, phase }) => phase === 'done' && !id.startsWith('\n')).map(({ id }) => id)
}

/** Nobody owns it. */
const isParked = async ({ scope, callId }: CallPlace) =>
  (await store.listOpenCalls(scope)).some((call) => call.callId === callId && isNobodys(call.owner))

test.each([
  ['without a session', begin],
  ['in a session', beginInSession],
])('a running call is cancelled %s, on whichever node it runs', async (_where, start) => {
  const call = await start('run')
  await waitFor(() => did.includes('began'))
  expect(await runs().cancel(call, { reason: 'enough' })).toEqual({ inHistory: false })
  await waitFor(() => did.length === 2)
  await waitFor(async () => (await kindsOf(call)).at(-1) === 'cancelled')
  expect((await recordsOf(call)).at(-1)).toBe('cancelled "enough"')
  const again = await refusal(runs().cancel(call))
  expect(again).toMatchObject({
    code: 'run-ended',
    message: expect.stringContaining('was cancelled') as string,
  })
})

test('a call that nobody owns is cancelled by the node that claims it', async () => {
  const call = await begin('ask')
  await waitFor(() => isParked(call))
  await runs().cancel(call)
  await waitFor(async () => (await kindsOf(call)).at(-1) === 'cancelled')
  expect(await kindsOf(call)).toEqual(['request', 'question', 'parked', 'passed', 'claim', 'cancelled'])
  expect(await store.listOpenCalls(call.scope)).toEqual([])
})

test('two operators cancel at once: it is cancelled once, and both are told so', async () => {
  const call = await begin('ask')
  await waitFor(() => isParked(call))
  await Promise.all([runs().cancel(call), runsOf(store, { by: 'bob' }).cancel(call)])
  await waitFor(async () => (await kindsOf(call)).at(-1) === 'cancelled')
  const kinds = await kindsOf(call)
  expect(kinds.filter((kind) => kind === 'cancelled')).toHaveLength(1)
  expect(kinds.filter((kind) => kind === 'passed')).toHaveLength(1)
})

test.each([
  ['fine', 'has ended with a result'],
  ['fails', 'has ended with a tool error'],
])('a call of %s is not cancelled, and why', async (name, told) => {
  const call = await begin(name)
  await call.ended
  const { code, message } = await refusal(runs().cancel(call))
  expect({ code, message }).toMatchObject({
    code: 'run-ended',
    message: expect.stringContaining(told) as string,
  })
})

test('a call that never was is not cancelled, nor is one that nobody may name', async () => {
  const none = { scope: 'x'.repeat(22), callId: 'x'.repeat(22) }
  expect((await refusal(runs().cancel(none))).code).toBe('run-gone')
  for (const by of ['', 'two\nlines', 'x'.repeat(201)])
    expect(() => runsOf(store, { by })).toThrow(/one line/)
})

test('who has cancelled is in the history, where one is kept', async () => {
  const kept = store.open({ name: 'kept' })
  const keeper = node({ name: 'kept', history: { keep: '1h' } })
  const call = await begin('ask', { at: keeper })
  await waitFor(async () => (await kept.listOpenCalls(call.scope)).some(({ owner }) => owner === ''))
  expect(await runsOf(kept, { by: 'ann' }).cancel(call, { reason: 'enough' })).toEqual({ inHistory: true })
  const newest = async () => (await kept.history(call.scope, { limit: 100 })).at(-1)?.data
  await waitFor(async () => (await newest())?.startsWith('cancelled '))
  const history = await kept.history(call.scope, { limit: 100 })
  const of = (log: string) => history.filter((entry) => entry.log === log).map(({ data }) => data)
  expect(of(`call:${call.callId}:in`)).toEqual([expect.stringContaining('"by":"ann"')])
  expect(of(`call:${call.callId}`).join('\n')).toMatch(/^passed .*"by":"ann","action":"cancel"/m)
  await keeper.close({ graceMs: 0 })
  // Nobody is there any more who says for how long it is kept.
  const late = await refusal(runsOf(kept, { by: 'ann' }).cancel(call))
  expect(late.code).toBe('run-history')
  await kept.close()
})

test('calls are listed by tool, status, principal and age', LONG, async () => {
  const inspect = inspectRedis(client)
  const of = async (wanted: Parameters<typeof listCalls>[1]) =>
    (await listCalls(inspect, { principal: 'lea', ...wanted })).calls.map(({ title, status }) => [
      title.replace('tools/call ', ''),
      status,
    ])
  for (const name of ['run', 'ask', 'nap']) await begin(name, { user: 'lea' })
  for (const name of ['fine', 'fails']) await (await begin(name, { user: 'lea' })).ended
  const cancelled = await begin('run', { user: 'lea' })
  await runs().cancel(cancelled)
  await cancelled.ended
  const open = async () => (await of({})).map((call) => call.join(' ')).toSorted()
  const all = ['ask waiting', 'nap sleeping', 'run running']
  await waitFor(async () => isDeepStrictEqual(await open(), all))
  expect(await of({ status: ['completed'] })).toEqual([['fine', 'completed']])
  expect(await of({ status: ['failed'] })).toEqual([['fails', 'failed']])
  expect(await of({ status: ['sleeping', 'cancelled'] })).toEqual([
    ['nap', 'sleeping'],
    ['run', 'cancelled'],
  ])
  expect(await of({ tool: 'run', ended: true })).toEqual([
    ['run', 'running'],
    ['run', 'cancelled'],
  ])
  expect(await of({ olderThanMs: 3_600_000, ended: true })).toEqual([])
  expect(await of({ newerThanMs: 3_600_000, ended: true })).toHaveLength(6)
  const filters = ['--principal', 'lea', '--status', 'sleeping, waiting', '--newer-than', '1h']
  const { calls } = await json<{ calls: { status: string }[] }>(redis.url, 'calls', ...filters)
  expect(calls.map(({ status }) => status)).toEqual(['waiting', 'sleeping'])
  expect(await out(redis.url, 'calls', '--tool', 'nobody')).toMatch(
    /^no open calls under the prefix mcp .*\n$/,
  )
  for (const wrong of [
    ['--status', 'done'],
    ['--older-than', '5 weeks'],
  ])
    expect(await cli(redis.url, 'calls', ...wrong)).toMatchObject({ code: 2 })
})

test('the command cancels, says who does it, and says why it does not', LONG, async () => {
  const call = await begin('ask')
  const done = await out(redis.url, 'cancel', call.callId, '--by', 'ann', '--reason', 'enough')
  expect(done).toContain('is asked to end')
  expect(done).toContain('no history is kept')
  await waitFor(async () => (await kindsOf(call)).at(-1) === 'cancelled')
  const again = await cli(redis.url, 'cancel', call.callId)
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('was cancelled') as string })
  expect((await cli(redis.url, 'cancel', 'nobody')).stderr).toContain("there is no call 'nobody'")
})

describe('a call is done again', () => {
  const WHERE = [
    ['without a session', begin],
    ['in a session', beginInSession],
  ] as const

  test.each(WHERE)(
    '%s: another call, with the old arguments, that knows of the old one',
    async (_where, start) => {
      const old = await start('book')
      await old.ended
      expect(did).toEqual(['hold', 'charge 1', 'confirm'])
      const repeats = await refusal(runs().retry(old))
      expect(repeats).toMatchObject({
        code: 'run-repeats',
        message: expect.stringContaining('charge') as string,
      })
      expect(did).toHaveLength(3)
      isBroken = false
      const { call, inHistory } = await runs().retry(old, { repeat: true })
      expect(inHistory).toBe(false)
      expect(call.scope === old.scope).toBe(old.scope !== old.callId)
      expect(await endOf(call)).toMatch(/^response /)
      expect(did.slice(3)).toEqual(['hold', 'charge 4', 'confirm'])
      const [request = '', ...rest] = await recordsOf(call)
      const { of, messages } = JSON.parse(request.slice('request '.length)) as {
        of: object
        messages: { params: object }[]
      }
      expect(of).toEqual({ scope: old.scope, callId: old.callId, action: 'retry', by: 'ann' })
      expect(messages).toMatchObject([{ id: call.callId, params: { name: 'book', arguments: {} } }])
      expect(rest.slice(0, 2).map((data) => data.split(' ')[0])).toEqual(['passed', 'claim'])
      const inbox = await store.read(old.scope, `call:${old.callId}:in`, '0-0', 9)
      expect(inbox?.map(({ data }) => data)).toEqual([
        `became ${JSON.stringify({ ...call, action: 'retry', by: 'ann' })}`,
      ])
      const again = await refusal(runs().retry(old, { repeat: true }))
      expect(again).toMatchObject({ code: 'run-retried', call })
      expect((await refusal(runs().retry(call))).code).toBe('run-succeeded')
    },
  )

  test('two operators do it at once: one call is made', async () => {
    const old = await begin('gone')
    await old.ended
    const both = ['ann', 'bob'].map((by) => runsOf(store, { by }).retry(old))
    const settled = await Promise.allSettled(both)
    const done = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value.call] : []))
    const failed = settled.flatMap((each) =>
      each.status === 'rejected' ? [each.reason as RunRefusedError] : [],
    )
    expect(done).toHaveLength(1)
    expect(failed).toMatchObject([{ call: done[0] }])
    expect(['run-busy', 'run-retried']).toContain(failed[0]?.code)
    await ended(done[0]!)
    expect(did).toEqual(['gone', 'gone'])
  })

  test('and cancelled at the same time: it is not done again before it has ended', async () => {
    const old = await begin('run')
    await waitFor(() => did.includes('began'))
    const [cancelled, retried] = await Promise.allSettled([runs().cancel(old), runs().retry(old)])
    expect(cancelled.status).toBe('fulfilled')
    if (retried.status === 'rejected') expect((retried.reason as RunRefusedError).code).toBe('run-open')
    await ended(old)
    const { call } = retried.status === 'fulfilled' ? retried.value : await runs().retry(old)
    await waitFor(() => did.filter((what) => what === 'began').length === 2)
    await runs().cancel(call)
    expect(await endOf(call)).toMatch(/^cancelled /)
  })

  test('a running one is refused, and one that has succeeded, and what is no tool', async () => {
    const running = await begin('ask')
    expect((await refusal(runs().retry(running))).code).toBe('run-open')
    await runs().cancel(running)
    const fine = await begin('fine')
    await fine.ended
    expect((await refusal(runs().retry(fine))).message).toContain('has ended with a result')
    await ended(running)
  })

  test('a tool that is not durable, and was cancelled, needs a word', async () => {
    const old = await begin('hangs')
    await waitFor(() => did.includes('hangs'))
    await runs().cancel(old)
    await ended(old)
    expect((await refusal(runs().retry(old))).code).toBe('run-repeats')
    const { call } = await runs().retry(old, { repeat: true })
    await waitFor(() => did.filter((what) => what === 'hangs').length === 2)
    await runs().cancel(call)
    await ended(call)
  })

  test('when no node is there, the first one that comes runs it; and all of it is in its history', async () => {
    const kept = store.open({ name: 'alone' })
    const first = node({ name: 'alone', history: { keep: '1h' } })
    const old = await begin('gone', { at: first, user: 'ann' })
    await old.ended
    const { call, inHistory } = await runsOf(kept, { by: 'ann' }).retry(old)
    expect(inHistory).toBe(true)
    await waitFor(async () =>
      (await kept.history(call.scope, { limit: 9 })).at(-1)?.data.startsWith('response '),
    )
    const history = await kept.history(call.scope, { limit: 99 })
    expect(history.map(({ data }) => data.split(' ')[0])).toEqual([
      'request',
      'passed',
      'claim',
      'handler',
      'response',
    ])
    const ofOld = await kept.history(old.scope, { limit: 99 })
    expect(ofOld.at(-1)?.data).toContain(`became {"scope":"${call.scope}"`)
    const { principal } = (await kept.readSession(call.scope))!
    expect(principal).toBe('ann')
    await first.close({ graceMs: 0 })
    await kept.close()

    const bare = store.open({ name: 'bare' })
    const one = node({ name: 'bare' })
    const failed = await begin('gone', { at: one })
    await failed.ended
    await one.close({ graceMs: 0 })
    const made = await runsOf(bare, { by: 'ann' }).retry(failed)
    const two = node({ name: 'bare' })
    await waitFor(async () => {
      const entries = await bare.read(made.call.scope, `call:${made.call.callId}`, '0-0', 99)
      return entries?.at(-1)?.data.startsWith('response ')
    })
    await two.close({ graceMs: 0 })
    await bare.close()
  })

  test('a node that does not have the tool leaves it to one that does', async () => {
    const mixed = store.open({ name: 'mixed' })
    const first = node({ name: 'mixed' })
    const old = await begin('gone', { at: first })
    await old.ended
    await first.close({ graceMs: 0 })
    const without = node({ name: 'mixed', server: () => new McpServer({ name: 'runs', version: '2' }) })
    const { call } = await runsOf(mixed, { by: 'ann' }).retry(old)
    const kinds = async () =>
      ((await mixed.read(call.scope, `call:${call.callId}`, '0-0', 99)) ?? []).map(
        ({ data }) => data.split(' ')[0],
      )
    await waitFor(async () => (await kinds()).includes('returned'))
    expect(did).toEqual(['gone'])
    const second = node({ name: 'mixed' })
    await waitFor(async () => (await kinds()).includes('response'), { timeoutMs: 20_000 })
    expect(did).toEqual(['gone', 'gone'])
    await Promise.all([without, second].map((mcp) => mcp.close({ graceMs: 0 })))
    await mixed.close()
  })

  test('by the command, which asks before it repeats what runs at most once', LONG, async () => {
    const old = await begin('book')
    await old.ended
    const asked = await cli(redis.url, 'retry', old.callId)
    expect(asked.code).toBe(1)
    expect(asked.stderr).toMatch(/would have their effect again: charge.*Nobody is here to ask/s)
    isBroken = false
    const { call } = await json<{ call: string }>(redis.url, 'retry', old.callId, '--yes', '--full-ids')
    expect(await endOf({ scope: call, callId: call })).toMatch(/^response /)
    expect(await out(redis.url, 'call', call)).toMatch(
      /opened by \S+, to retry [\w-]{6}….*\n.*gives it to the nodes/,
    )
    expect(await out(redis.url, 'call', old.callId)).toMatch(/makes call [\w-]{6}… of it, to retry it/)
    const again = await cli(redis.url, 'retry', old.callId, '--yes')
    expect(again.stderr).toContain(`by the call ${call.slice(0, 6)}`)
    expect(again.stderr).not.toContain(call)
  })
})

describe('a call goes on from a step, in another call', () => {
  test.each([
    ['without a session', begin],
    ['in a session', beginInSession],
  ])('%s: the steps before it are not done again, those from it on are', async (_where, start) => {
    const old = await start('book')
    await old.ended
    isBroken = false
    did = []
    const { call } = await runs().fork(old, { from: { name: 'confirm' } })
    expect(await endOf(call)).toMatch(/^response /)
    expect(did).toEqual(['confirm'])
    const [kept, theirs] = [await recordsOf(old), await recordsOf(call)]
    const steps = (all: string[]) => all.filter((data) => data.startsWith('step '))
    // The same ids, charges and times; the last one is its own.
    expect(steps(theirs).slice(0, -1)).toEqual(steps(kept).slice(0, -1))
    expect(steps(theirs)).toHaveLength(7)

    did = []
    const repeats = await refusal(runs().fork(old, { from: { name: 'charge' } }))
    expect(repeats.code).toBe('run-repeats')
    const second = await runs().fork(old, { from: { name: 'charge' }, repeat: true })
    await ended(second.call)
    // What it was given of the step before is what that came to then.
    expect(did).toEqual(['charge 1', 'confirm'])
  })

  test('a step that is none is refused, and which are near; and a tool that has no steps', LONG, async () => {
    const old = await begin('book')
    await old.ended
    const none = await refusal(runs().fork(old, { from: { name: 'confrim' } }))
    expect(none).toMatchObject({
      code: 'run-step',
      message: expect.stringMatching(/Nearest: confirm,/) as string,
    })
    const plain = await begin('gone')
    await plain.ended
    expect((await refusal(runs().fork(plain, { from: { name: 'x' } }))).message).toContain(
      'only a durable tool',
    )
    const said = await cli(redis.url, 'fork', old.callId, '--from', 'charg')
    expect(said).toMatchObject({ code: 1, stderr: expect.stringContaining('Nearest: charge') as string })
    expect(await cli(redis.url, 'fork', old.callId)).toMatchObject({ code: 2 })
    expect(await out(redis.url, 'fork', old.callId, '--from', 'confirm', '--by', 'ann')).toContain(
      'is for the nodes to run',
    )
  })

  test('steps side by side: from where none had begun that has not ended', async () => {
    const bothBegan = () => did.includes('first') && did.includes('second')
    const old = await begin('beside')
    await waitFor(bothBegan)
    await runs().cancel(old)
    await ended(old)
    const open = await refusal(runs().fork(old, { from: { name: 'third' } }))
    expect(open).toMatchObject({
      code: 'run-step',
      message: expect.stringContaining('not ended: first') as string,
    })
    const several = await refusal(runs().fork(old, { from: { name: 'item' } }))
    expect(several.message).toContain("there are 2 steps 'item'")
    did = []
    const { call } = await runs().fork(old, { from: { name: 'item', key: 'b' }, repeat: true })
    await waitFor(bothBegan)
    expect(did.toSorted()).toEqual(['first', 'item b', 'second'])
    await runs().cancel(call)
    await ended(call)
  })

  test('a question before it that no step has asked is refused; one of a step keeps its answer', async () => {
    const old = await begin('ask')
    await runs().cancel(old)
    await ended(old)
    const { call } = await runs().fork(old, { from: { name: 'colour' } })
    await waitFor(async () => (await kindsOf(call)).includes('question'))
    await runs().cancel(call)
    await ended(call)
  })
})

describe('a call that sleeps is resumed', () => {
  test('when no node holds it: that sleep ends, once, and a later one does not', async () => {
    const call = await begin('nap')
    await waitFor(() => isParked(call))
    expect(await runs().resume(call)).toEqual({ inHistory: false })
    await waitFor(() => did.includes('woke'))
    await waitFor(async () => (await endedSteps(call)).length === 1)
    expect(await endedSteps(call)).toEqual(['a while'])
    // It sleeps again, and can be resumed again.
    await waitFor(() => isParked(call), { timeoutMs: 20_000 })
    expect(did).toEqual(['woke'])
    await runs().resume(call)
    expect(await endOf(call)).toMatch(/^response /)
    expect(await endedSteps(call)).toEqual(['a while', 'again'])
    expect((await refusal(runs().resume(call))).code).toBe('run-ended')
  })

  test('in a session, where its node holds it; by two at once, who end it once', async () => {
    const call = await beginInSession('nap')
    await waitFor(async () => (await recordsOf(call)).some((data) => data.includes('deadline')))
    await Promise.all([runs().resume(call), runsOf(store, { by: 'bob' }).resume(call)])
    await waitFor(() => did.includes('woke'))
    await waitFor(async () => (await recordsOf(call)).some((data) => data.includes('again')))
    expect(await endedSteps(call)).toEqual(['a while'])
    expect(did).toEqual(['woke'])
    await runs().resume(call)
    expect(await endOf(call)).toMatch(/^response /)
  })

  test('one that does not sleep is refused', async () => {
    for (const name of ['ask', 'run']) {
      const call = await begin(name)
      await waitFor(async () => name === 'ask' || did.includes('began'))
      expect((await refusal(runs().resume(call))).code).toBe('run-awake')
      await runs().cancel(call)
      await ended(call)
    }
  })

  test('by the command', LONG, async () => {
    const call = await begin('nap')
    await waitFor(() => isParked(call))
    expect(await out(redis.url, 'resume', call.callId, '--by', 'ann')).toContain('goes on')
    await waitFor(() => did.includes('woke'))
    const shown = await out(redis.url, 'call', call.callId)
    expect(shown).toContain('ann wakes a while')
    await runs().cancel(call)
    await ended(call)
  })

  /** As if the process died before it could hand the call over; `appends`: or copy the records of a fork. */
  const dying = (what: 'claimCall' | 'appendCall'): Store =>
    new Proxy(store, {
      get: (of, name) => {
        if (name === what) return () => Promise.reject(new Error('died'))
        const value: unknown = Reflect.get(of, name, of)
        return typeof value === 'function' ? (value.bind(of) as unknown) : value
      },
    })
  const madeOf = async (old: CallPlace) => {
    const inbox = await store.read(old.scope, `call:${old.callId}:in`, '0-0', 9)
    const { scope, callId } = JSON.parse(inbox?.at(-1)?.data.slice('became '.length) ?? '') as CallPlace
    return { scope, callId }
  }

  test('and so is one that was made, and not handed over', async () => {
    const old = await begin('gone')
    await old.ended
    await expect(runsOf(dying('claimCall'), { by: 'ann' }).retry(old)).rejects.toThrow('died')
    const made = await madeOf(old)
    expect((await refusal(runs().retry(old))).code).toBe('run-retried')
    expect(did).toEqual(['gone'])
    await runs().resume(made)
    await ended(made)
    expect(did).toEqual(['gone', 'gone'])
    expect(await kindsOf(made)).toEqual(['request', 'passed', 'claim', 'handler', 'response'])
  })

  test('but not a fork that lacks steps: those would be done again', async () => {
    const old = await begin('book')
    await old.ended
    did = []
    const dead = runsOf(dying('appendCall'), { by: 'ann' }).fork(old, { from: { name: 'confirm' } })
    await expect(dead).rejects.toThrow('died')
    const made = await madeOf(old)
    expect((await refusal(runs().resume(made))).message).toContain('was not finished')
    expect(await kindsOf(made)).toEqual(['request'])
    expect(did).toEqual([])
  })
})
