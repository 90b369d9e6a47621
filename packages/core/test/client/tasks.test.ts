import { getEventListeners } from 'node:events'
import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { CallToolResult } from '@modelcontextprotocol/client'
import { describe, expect, test, vi } from 'vitest'
import { waitFor } from '../../../../test-support/index.js'
import { durableFetch } from '../../src/client/index.js'
import { LeftStreams } from '../../src/client/tasks/left-streams.js'
import { pollMsOf } from '../../src/client/tasks/task-state.js'
import type { DurableFetchOptions } from '../../src/client/index.js'
import { within } from '../support/within.js'
import { json, never, stream } from './scripted-server.js'
import type { Reply } from './scripted-server.js'
import { answering, refusing, resets, TaskServer } from './task-server.js'
import type { Asked, TaskScript } from './task-server.js'

const EXTENSION = 'io.modelcontextprotocol/tasks'
const CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities'
const quick = { initialDelayMs: 5, maxDelayMs: 20, giveUpAfterMs: 10_000 }

const done = { status: 'completed', result: { content: [{ type: 'text', text: 'done' }] } }
const working = { status: 'working' }
const question = (message: string) => ({
  method: 'elicitation/create',
  params: { mode: 'form', message, requestedSchema: { type: 'object', properties: {} } },
})

type Answering = (message: string) => unknown

async function connected(
  server: TaskServer,
  options: DurableFetchOptions = {},
  answer: Answering = () => ({ action: 'accept', content: {} }),
) {
  const client = new Client(
    { name: 'test', version: '1' },
    {
      capabilities: { elicitation: { form: {} } },
      versionNegotiation: { mode: { pin: '2026-07-28' } },
    },
  )
  client.setRequestHandler('elicitation/create', ({ params }) => answer(params.message) as never)
  const fetch = durableFetch({ ...quick, tasks: true, ...options })
  const transport = new StreamableHTTPClientTransport(server.url, {
    fetch,
    requestInit: { headers: { authorization: 'Bearer x' } },
  })
  await client.connect(transport)
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() })
}

/** Calls the tool without a client, and begins to read what comes. */
async function read(
  server: TaskServer,
  authorization: string,
  { signal, ...headers }: { signal?: AbortSignal; [header: string]: unknown } = {},
  fetch = durableFetch({ ...quick, tasks: true }),
) {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    [CAPABILITIES]: { extensions: { 'com.example/other': { a: 1 } } },
    progressToken: 'p',
  }
  const own = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'work' }
  const response = await fetch(server.url, {
    method: 'POST',
    headers: { authorization, ...own, ...(headers as Record<string, string>) },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { ...work, _meta } }),
    ...(signal && { signal }),
  })
  const reader = response.body!.getReader()
  return Object.assign(reader, { first: reader.read() })
}

const textOf = ({ content: [first] }: CallToolResult) => (first?.type === 'text' ? first.text : undefined)
const work = { name: 'work', arguments: {} }

async function call(script: TaskScript, options?: DurableFetchOptions) {
  const server = await TaskServer.start(script)
  const client = await connected(server, options)
  const outcome = await within(
    client.callTool(work).then(textOf, (error: unknown) => error as Error & { code: number; data: unknown }),
    'the outcome',
  )
  await client.close()
  await server[Symbol.asyncDispose]()
  return { server, outcome }
}

describe.concurrent('a call that becomes a task', () => {
  test.each([
    ['JSON', {}],
    ['streams of events', { events: true }],
  ])('has its result, from %s', async (_name, form) => {
    const { server, outcome } = await call({ ...form, states: [working, working, done] })
    expect(outcome).toBe('done')
    expect(server.count('tools/call')).toBe(1)
    expect(server.count('tasks/get')).toBe(3)
    for (const { headers, params } of server.of('tasks/get')) {
      expect(headers).toMatchObject({
        authorization: 'Bearer x',
        'mcp-name': 'task 1',
        'mcp-method': 'tasks/get',
      })
      expect(headers['idempotency-key']).toBeUndefined()
      expect(params).toMatchObject({
        taskId: 'task 1',
        _meta: { [CAPABILITIES]: { elicitation: { form: {} } } },
      })
    }
  })

  test('each request says that the client has tasks', async () => {
    const { server } = await call({ states: [done] })
    expect(server.asked.map(({ method }) => method)).toEqual(
      expect.arrayContaining(['server/discover', 'tools/call', 'tasks/get']),
    )
    for (const { params } of server.asked)
      expect(params._meta[CAPABILITIES]).toMatchObject({ extensions: { [EXTENSION]: {} }, elicitation: {} })
  })

  test('or not', async () => {
    const plain = { resultType: 'complete', content: [{ type: 'text', text: 'at once' }] }
    const { server, outcome } = await call({ call: () => ({ result: plain }), states: [] })
    expect(outcome).toBe('at once')
    expect(server.count('tasks/get')).toBe(0)
  })

  test('without the option nothing is said, and nothing is asked', async () => {
    const { server, outcome } = await call({ states: [done] }, { tasks: false })
    expect(outcome).toBeInstanceOf(Error)
    expect(server.of('tools/call')[0]?.params._meta[CAPABILITIES]).not.toHaveProperty('extensions')
    expect(server.count('tasks/get')).toBe(0)
  })

  test('is asked for with the headers of its call, but for those that say what was called', async () => {
    await using server = await TaskServer.start({ states: [done] })
    const reader = await read(server, 'Bearer x', {
      'mcp-param-x': '1',
      'idempotency-key': 'k',
      'x-mine': 'y',
    })
    await reader.first
    const [asked] = server.of('tasks/get')
    expect(asked?.headers).toMatchObject({ authorization: 'Bearer x', 'x-mine': 'y' })
    const extensions = { 'com.example/other': { a: 1 }, [EXTENSION]: {} }
    expect(asked?.params._meta[CAPABILITIES]).toEqual({ extensions })
    expect(asked?.headers['mcp-param-x'] ?? asked?.headers['idempotency-key']).toBeUndefined()
  })

  test('two at once do not meet', async () => {
    await using server = await TaskServer.start({
      call: ({ params }) => ({
        result: {
          resultType: 'task',
          taskId: params['arguments'] && (params['arguments'] as { id: string }).id,
          status: 'working',
          pollIntervalMs: 1,
        },
      }),
      states: [
        ({ asked }) => ({
          status: 'completed',
          result: { content: [{ type: 'text', text: String(asked.at(-1)?.params['taskId']) }] },
        }),
      ],
    })
    const fetch = durableFetch({ ...quick, tasks: true })
    // Both clients number their requests alike, and send them through one fetch.
    await using one = await connected(server, { fetch, tasks: false })
    await using other = await connected(server, { fetch, tasks: false })
    const ask = async (client: Client, id: string) =>
      textOf(await client.callTool({ name: 'work', arguments: { id } }))
    const asked = [ask(one, 'a'), ask(other, 'b'), ask(one, 'c'), ask(other, 'd')]
    expect(await Promise.all(asked)).toEqual(['a', 'b', 'c', 'd'])
  })

  test.each([
    ['not ASCII', 'ü/x 📦'],
    ['with spaces around it', ' space '],
    ['that looks encoded', '=?base64?eA==?='],
    ['with line breaks', 'a\r\nauthorization: b'],
    ['that is long', 'a'.repeat(4000)],
  ])('has an id %s', async (_name, taskId) => {
    const { outcome } = await call({ taskId, states: [working, done] })
    expect(outcome).toBe('done')
  })

  test.each([0, -5, '3', null, Number.MAX_VALUE, 1e-9])(
    'is asked for soon and not all the time when pollIntervalMs is %j',
    async (pollIntervalMs) => {
      const script = { pollIntervalMs, created: { status: 'queued' } }
      const states = pollIntervalMs === Number.MAX_VALUE ? [done] : [working, done]
      const { server, outcome } = await call({ ...script, states })
      expect(outcome).toBe('done')
      const [first, second] = server.of('tasks/get')
      if (second) expect(second.at - first!.at).toBeGreaterThanOrEqual(150)
    },
  )
})

describe.concurrent('a task that ends otherwise', () => {
  test.each([
    ['a tool error', { status: 'completed', result: { content: [], isError: true } }, undefined],
    ['failed', { status: 'failed', error: { code: -7, message: 'no disk', data: 1 } }, /^no disk$/],
    ['failed without an error', { status: 'failed', statusMessage: 'no idea' }, /The task failed: no idea/],
    ['cancelled', { status: 'cancelled' }, /The task was cancelled\./],
    ['completed without a result', { status: 'completed' }, /gives no result/],
    ['completed with no object', { status: 'completed', result: 'x' }, /gives no result/],
    ['in no known status', { status: 'resting' }, /no status of one: "resting"/],
    ['in no status', { status: undefined }, /no status of one/],
  ])('%s', async (_name, state, words) => {
    const { outcome } = await call({ states: [working, state] })
    if (words === undefined) return expect(outcome).toBeUndefined()
    expect(outcome).toHaveProperty('message', expect.stringMatching(words))
  })

  test('unknown: the error says so', async () => {
    const unknown = answering({ error: { code: -32602, message: 'Unknown task' } })
    const { outcome } = await call({ states: [done], instead: { 'tasks/get': [unknown] } })
    expect(outcome).toMatchObject({
      code: -32602,
      message: expect.stringMatching(/does not know the task: it has expired.*Unknown task/),
      data: { taskId: 'task 1' },
    })
  })

  test.each([undefined, 7, ''])('a task without an id: %j', async (taskId) => {
    const result = { resultType: 'task', taskId, status: 'working' }
    const { outcome } = await call({ call: () => ({ result }), states: [] })
    expect(outcome).toHaveProperty('message', expect.stringMatching(/does not say its taskId/))
  })
})

describe.concurrent('goes on', () => {
  const passing = [
    ['502', refusing(502)],
    ['503', refusing(503)],
    ['500', refusing(500)],
    ['429', refusing(429)],
    ['a page of HTML', refusing(200, { 'content-type': 'text/html' })],
    ['404 of a router', refusing(404)],
    ['a fault in the server', answering({ error: { code: -32603, message: 'Internal error' } })],
    ['a node that knows no tasks', answering({ error: { code: -32601, message: 'Method not found' } })],
    ['429 in JSON-RPC', refusing(429, {}, { code: -32000, message: 'Too many requests' })],
    ['503 in JSON-RPC', refusing(503, {}, { code: -32000, message: 'Service unavailable' })],
    ['an empty answer', refusing(200)],
    ['half an event', stream('data: {"jsonrpc"', 'break')],
    ['a stream that ends too soon', stream(': hello\n\n', 'end')],
    ['another thing in JSON', json([1])],
    ['a result that is none', answering({ result: 7 })],
  ] as const
  test.each(passing)('after %s', async (_name, failing) => {
    const instead = { 'tasks/get': [failing, undefined, ...resets(2), failing] }
    const { server, outcome } = await call({ states: [working, done], instead })
    expect(outcome).toBe('done')
    expect(server.count('tasks/get')).toBe(6)
    expect(server.count('tools/call')).toBe(1)
  })

  test('after a node that says nothing', async () => {
    const instead = { 'tasks/get': [never] }
    const { outcome } = await call({ states: [done], instead }, { headersWithinMs: 50 })
    expect(outcome).toBe('done')
  })

  test.each([
    [
      'half of its answer in JSON',
      (response: ServerResponse) => void response.writeHead(200).write('{"jsonrpc"'),
    ],
    ['no event', stream(': hello\n\n', 'stay')],
  ])('after a node that says %s, and then nothing', async (_name, stalling) => {
    const instead = { 'tasks/get': [stalling] }
    const { outcome } = await call({ states: [done], instead }, { headersWithinMs: 50 })
    expect(outcome).toBe('done')
  })

  test.each([429, 503])('and obeys Retry-After of %i', async (status) => {
    const instead = { 'tasks/get': [refusing(status, { 'retry-after': '1' })] }
    const { server, outcome } = await call({ states: [done], instead })
    expect(outcome).toBe('done')
    const [first, second] = server.of('tasks/get')
    expect(second!.at - first!.at).toBeGreaterThanOrEqual(990)
  })

  test('while the server is away', async () => {
    await using server = await TaskServer.start({ states: [working, done] })
    let failed = 0
    await using client = await connected(server, { onRetry: (retry) => (failed = retry.failed) })
    const outcome = client.callTool(work)
    await server.until(() => server.count('tasks/get') === 1)
    await server.close()
    await waitFor(() => failed > 3, { what: 'attempts that fail' })
    await server.listen()
    expect(textOf(await within(outcome, 'the result'))).toBe('done')
  })

  test('until giveUpAfterMs: the error says that the task goes on', async () => {
    const instead = { 'tasks/get': resets(1000) }
    const { server, outcome } = await call({ states: [done], instead }, { giveUpAfterMs: 200 })
    expect(outcome).toHaveProperty('message', expect.stringMatching(/could not be asked.*The task goes on/))
    expect(server.count('tasks/cancel')).toBe(0)
  })
})

describe.concurrent('questions of a task', () => {
  const asks = (...keys: string[]) => ({
    status: 'input_required',
    inputRequests: Object.fromEntries(keys.map((key) => [key, question(key)])),
  })

  async function asking(script: TaskScript) {
    await using server = await TaskServer.start(script)
    const asked: string[] = []
    await using client = await connected(server, {}, (message) => {
      asked.push(message)
      return { action: 'accept', content: { of: message } }
    })
    const outcome = await within(client.callTool(work).then(textOf, String), 'the outcome')
    return { server, asked, outcome, updates: server.of('tasks/update').map(({ params }) => params) }
  }
  const accepted = (of: string) => ({ action: 'accept', content: { of } })

  test('reach the client once, and its answers the server', async () => {
    // The second state is one that has not heard of the answer yet.
    const states = [working, asks('a', 'b'), asks('a', 'b'), asks('b'), working, asks('c'), done]
    const { server, asked, outcome, updates } = await asking({ states })
    expect(outcome).toBe('done')
    expect(asked).toEqual(['a', 'b', 'c'])
    expect(updates.map(({ taskId, inputResponses }) => ({ taskId, inputResponses }))).toEqual([
      { taskId: 'task 1', inputResponses: { a: accepted('a'), b: accepted('b') } },
      { taskId: 'task 1', inputResponses: { c: accepted('c') } },
    ])
    expect(server.count('tools/call')).toBe(1)
  })

  test('may come while others that were answered are still shown', async () => {
    const { asked, outcome, updates } = await asking({
      states: [asks('a'), asks('a', 'b'), asks('a', 'b'), done],
    })
    expect([outcome, asked]).toEqual(['done', ['a', 'b']])
    expect(updates.map(({ inputResponses }) => Object.keys(inputResponses as object))).toEqual([['a'], ['b']])
  })

  test('that are none are waited for', async () => {
    const empty = { status: 'input_required', inputRequests: {} }
    const { outcome, asked } = await asking({ states: [{ status: 'input_required' }, empty, done] })
    expect([outcome, asked]).toEqual(['done', []])
  })

  test('have names that objects have', async () => {
    const inputRequests = JSON.parse(
      JSON.stringify({ __proto__: null, constructor: question('x') }),
    ) as object
    const { outcome, asked } = await asking({ states: [{ status: 'input_required', inputRequests }, done] })
    expect([outcome, asked]).toEqual(['done', ['x']])
  })

  test('whose answers are lost get them again', async () => {
    const state = ({ asked }: TaskServer) =>
      asked.filter(({ method }) => method === 'tasks/update').length < 2 ? asks('a') : done
    const { outcome, asked, updates } = await asking({ states: [state] })
    expect([outcome, asked]).toEqual(['done', ['a']])
    expect(updates).toHaveLength(2)
  })

  test('whose answers are refused: the error says so', async () => {
    const refused = answering({ error: { code: -32602, message: 'too short' } })
    const { outcome } = await asking({ states: [asks('a')], instead: { 'tasks/update': [refused] } })
    expect(outcome).toMatch(/does not take the answers.*too short/)
  })

  test('whose answers are refused since it waits no more', async () => {
    const refused = answering({ error: { code: -32602, message: 'not waiting' } })
    const script = { states: [asks('a'), working, done], instead: { 'tasks/update': [refused] } }
    expect((await asking(script)).outcome).toBe('done')
  })

  test('are answered in part by a client that answers by itself', async () => {
    await using server = await TaskServer.start({ states: [asks('a', 'b'), asks('a', 'b'), working, done] })
    await using client = await connected(server)
    const raw = (params: object) =>
      client.request({ method: 'tools/call', params: { ...work, ...params } }, { allowInputRequired: true })
    const { inputRequests, requestState } = await raw({})
    expect(Object.keys(inputRequests as object)).toEqual(['a', 'b'])
    const second = await raw({ requestState, inputResponses: { a: accepted('a') } })
    expect(second).toMatchObject({ resultType: 'input_required', inputRequests: { b: question('b') } })
    const answers = { requestState: second['requestState'], inputResponses: { b: accepted('b') } }
    const last = await raw(answers)
    expect(last).toMatchObject(done.result)
    expect(server.of('tasks/update').map(({ params }) => params['inputResponses'])).toEqual([
      { a: accepted('a') },
      { b: accepted('b') },
    ])
  })

  test('before the task are the server’s', async () => {
    const before = {
      resultType: 'input_required',
      inputRequests: { n: question('n') },
      requestState: 'mcp-durable task 1',
    }
    const { asked, outcome, server } = await asking({
      call: ({ params }) => ({
        result:
          params['requestState'] === undefined
            ? before
            : { resultType: 'task', taskId: 't', status: 'working' },
      }),
      states: [done],
    })
    expect([outcome, asked]).toEqual(['done', ['n']])
    expect(server.count('tools/call')).toBe(2)
  })
})

describe.concurrent('when the client goes away', () => {
  test.each(['while it waits', 'while it asks', 'while the server is away'])(
    'the task is cancelled once, %s',
    async (when) => {
      const replies: Record<string, Reply[]> = {
        'while it asks': [never],
        'while the server is away': resets(1000),
      }
      const instead = { 'tasks/get': replies[when] ?? [] }
      await using server = await TaskServer.start({
        states: [working],
        pollIntervalMs: 60_000,
        created: { status: 'x' },
        instead,
      })
      await using client = await connected(server)
      const leave = new AbortController()
      const outcome = client.callTool(work, { signal: leave.signal })
      await server.until(() => server.count('tasks/get') === 1)
      leave.abort(new Error('enough'))
      await expect(outcome).rejects.toThrow('enough')
      await server.until(() => server.count('tasks/cancel') === 1)
      await client.close()
      expect(server.of('tasks/cancel')).toMatchObject([
        { params: { taskId: 'task 1' }, headers: { authorization: 'Bearer x', 'mcp-name': 'task 1' } },
      ])
      expect(server.count('tasks/get')).toBeLessThan(5)
    },
  )

  test('its time-out does so too', async () => {
    await using server = await TaskServer.start({ states: [working] })
    await using client = await connected(server)
    await expect(client.callTool(work, { timeout: 300 })).rejects.toThrow('timed out')
    await server.until(() => server.count('tasks/cancel') === 1)
  })

  test('whoever stops reading does so too, and nothing is asked after that', async () => {
    await using server = await TaskServer.start({ states: [working] })
    const asks = (who: string) =>
      server.of('tasks/get').filter(({ headers }) => headers.authorization === who).length
    const first = await read(server, 'first')
    await server.until(() => asks('first') > 0)
    await first.cancel()
    await server.until(() => server.count('tasks/cancel') === 1)
    const before = asks('first')
    const second = await read(server, 'second')
    await server.until(() => asks('second') > 3)
    await second.cancel()
    expect(asks('first')).toBe(before)
  })

  test('after its answer nothing is cancelled', async () => {
    await using server = await TaskServer.start({ states: [working, done] })
    const leave = new AbortController()
    const client = await connected(server)
    await client.callTool(work, { signal: leave.signal })
    leave.abort()
    await client.close()
    await using later = await connected(server)
    await later.callTool(work)
    expect(server.count('tasks/cancel')).toBe(0)
  })
})

describe('nothing is kept', () => {
  test.each([
    ['JSON', { states: [working, done] }],
    ['streams of events', { states: [working, done], events: true }],
    ['questions', { states: [{ status: 'input_required', inputRequests: { a: question('a') } }] }],
    ['a task that fails', { states: [{ status: 'failed' }] }],
    ['credentials that are refused', { states: [], instead: { 'tasks/get': [refusing(401)] } }],
  ] as [string, TaskScript][])('of a signal that outlives its calls: %s', async (name, script) => {
    await using server = await TaskServer.start(script)
    const { signal } = new AbortController()
    const reader = await read(server, 'Bearer x', { signal })
    const { value } = await within(reader.first, 'what comes')
    expect(new TextDecoder().decode(value)).toMatch(/"id":1|^id: /)
    expect(await reader.read()).toMatchObject({ done: true })
    // A call whose client is to come back may still be cancelled.
    expect(getEventListeners(signal, 'abort')).toHaveLength(name.startsWith('credentials') ? 1 : 0)
  })

  test('of the times it was asked for', async () => {
    const warnings: Error[] = []
    const note = (warning: Error) => void warnings.push(warning)
    process.on('warning', note)
    const states = [...Array.from({ length: 12 }, () => working), done]
    const { outcome } = await call({ states })
    process.off('warning', note)
    expect(outcome).toBe('done')
    // Node.js warns when a signal has more than ten listeners.
    expect(warnings).toEqual([])
  })

  test('of progress for a client that does not read', async () => {
    await using server = await TaskServer.start({ states: [working] })
    vi.useFakeTimers({ toFake: ['setInterval'] })
    try {
      const reader = await read(server, 'Bearer x')
      await server.until(() => server.count('tasks/get') === 1)
      for (let told = 0; told < 100; told++) vi.advanceTimersByTime(10_000)
      await reader.first
      // The read that waited, and one more: the hundred are gone.
      await reader.read()
      const next = reader.read()
      await server.until(() => server.count('tasks/get') === 3)
      expect(await Promise.race([next, Promise.resolve('nothing')])).toBe('nothing')
      await reader.cancel()
    } finally {
      vi.useRealTimers()
    }
  })

  test('of streams to which nobody comes back, but for the last thousand', () => {
    const left = new LeftStreams<number>()
    for (let at = 0; at < 3000; at++) left.leave(`event ${at}`, at)
    const found = Array.from({ length: 3000 }, (_, at) => left.find(`event ${at}`)).filter(
      (at) => at !== undefined,
    )
    expect(found).toEqual(Array.from({ length: 1000 }, (_, at) => 2000 + at))
  })
})

test.each([
  [undefined, 1000],
  [null, 1000],
  ['7', 1000],
  [Number.NaN, 1000],
  [-1, 200],
  [0, 200],
  [5000, 5000],
  [1e12, 60_000],
  [Infinity, 60_000],
])('a pollIntervalMs of %j is one of %i', (pollIntervalMs, expected) => {
  expect(pollMsOf({ pollIntervalMs })).toBe(expected)
})

describe('progress', () => {
  test('is what the server says of the task, behind what it has said before', async () => {
    const said = (progress: number) =>
      `data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 1, progress, message: 'begun' } })}\n\n`
    await using server = await TaskServer.start({
      call: ({ id, params }, response) => {
        const token = params._meta['progressToken']
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write(said(2.5).replace('"progressToken":1', `"progressToken":${JSON.stringify(token)}`))
        const result = {
          resultType: 'task',
          taskId: 't',
          status: 'working',
          statusMessage: 'queued',
          pollIntervalMs: 1,
        }
        response.end(`id: 1\ndata: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`)
        return undefined
      },
      states: ['queued', 'half', 'half', 'nearly']
        .map((statusMessage) => ({ ...working, statusMessage }))
        .concat(done as never),
    })
    await using client = await connected(server)
    const told: unknown[] = []
    const result = await client.callTool(work, { onprogress: (progress) => void told.push(progress) })
    expect(textOf(result)).toBe('done')
    expect(told).toEqual([
      { progress: 2.5, message: 'begun' },
      { progress: 3.5, message: 'queued' },
      { progress: 4.5, message: 'half' },
      { progress: 5.5, message: 'nearly' },
    ])
  })

  test('comes now and then, so that resetTimeoutOnProgress holds for a task that is silent for long', async () => {
    await using server = await TaskServer.start({ states: [working], pollIntervalMs: 60_000 })
    await using client = await connected(server)
    vi.useFakeTimers({ toFake: ['setInterval'] })
    try {
      let told = 0
      const leave = new AbortController()
      const outcome = client.callTool(work, {
        timeout: 400,
        resetTimeoutOnProgress: true,
        signal: leave.signal,
        onprogress: () => void told++,
      })
      void outcome.catch(() => undefined)
      await server.until(() => server.count('tools/call') === 1)
      for (let waited = 0; waited < 1200; waited += 100) {
        await sleep(100)
        vi.advanceTimersByTime(10_000)
      }
      leave.abort(new Error('long enough'))
      await expect(outcome).rejects.toThrow('long enough')
      expect(told).toBeGreaterThan(3)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe.concurrent('credentials', () => {
  /** Whose token is renewed when the server has refused it. */
  const renewing = (renewed: string[]) => ({
    token: async () => renewed.at(-1) ?? 'old',
    onUnauthorized: async () => void renewed.push('new'),
  })
  async function authorized(server: TaskServer, authProvider: ReturnType<typeof renewing>) {
    const client = new Client(
      { name: 'test', version: '1' },
      { capabilities: { elicitation: {} }, versionNegotiation: { mode: { pin: '2026-07-28' } } },
    )
    client.setRequestHandler('elicitation/create', async () => ({ action: 'accept', content: {} }))
    const fetch = durableFetch({ ...quick, tasks: true })
    await client.connect(new StreamableHTTPClientTransport(server.url, { fetch, authProvider }))
    return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() })
  }

  test('that expire while the task runs are renewed by the client, as often as needed', async () => {
    const no = refusing(401)
    const asking = { status: 'input_required', inputRequests: { a: question('a') } }
    await using server = await TaskServer.start({
      states: [working, asking, working, done],
      instead: { 'tasks/get': [no, no, undefined, undefined, no], 'tasks/update': [no, no] },
    })
    const renewed: string[] = []
    await using client = await authorized(server, renewing(renewed))
    const result = await within(client.callTool(work), 'the result')
    expect(textOf(result)).toBe('done')
    expect(renewed).toEqual(['new', 'new'])
    expect(server.of('tasks/get').map(({ headers }) => headers.authorization)).toEqual(
      ['old', 'old', 'new', 'new', 'new', 'new', 'new'].map((token) => `Bearer ${token}`),
    )
    expect(server.count('tools/call')).toBe(1)
    expect(server.count('GET')).toBe(0)
  })

  test('that were refused: the task is cancelled if the client goes away before it comes back', async () => {
    await using server = await TaskServer.start({
      states: [working],
      instead: { 'tasks/get': [refusing(401)] },
    })
    const leave = new AbortController()
    const reader = await read(server, 'Bearer x', { signal: leave.signal })
    await reader.first
    leave.abort()
    await server.until(() => server.count('tasks/cancel') === 1)
    expect(server.count('tasks/get')).toBe(1)
  })

  test.each([401, 403])('that are of no use end the call with %i, and not the task', async (status) => {
    const { server, outcome } = await call({
      states: [done],
      instead: { 'tasks/get': Array.from({ length: 10 }, () => refusing(status)) },
    })
    expect(outcome).toHaveProperty('message', expect.stringMatching(`${status}.*The task goes on`))
    expect(server.count('tasks/cancel')).toBe(0)
  })
})

describe.concurrent('the stream of the call breaks', () => {
  const begun = (id: unknown) => {
    const result = { resultType: 'task', taskId: 't', status: 'working', pollIntervalMs: 1 }
    return `id: 2\ndata: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\n\n`
  }

  test('before its first event: it is sent again, with the same Idempotency-Key', async () => {
    const instead = {
      'tools/call': [...resets(1), stream('', 'break'), stream('retry: 1\n\nid: 1\nda', 'break')],
    }
    const { server, outcome } = await call({ states: [done], instead })
    expect(outcome).toBe('done')
    const keys = server.of('tools/call').map(({ headers }) => headers['idempotency-key'])
    expect(keys).toHaveLength(4)
    expect(new Set(keys).size).toBe(1)
  })

  const breaking = (server: () => TaskServer | undefined, reply: (id: unknown) => Reply): TaskScript => ({
    call: (_message, response) => {
      stream('retry: 5\n\nid: 1\ndata:\n\n', 'break')(response)
      return undefined
    },
    states: [
      working,
      ({ asked }) => ({ ...done, result: { content: [{ type: 'text', text: nameIn(asked) }] } }),
    ],
    instead: {
      GET: [refusing(503), refusing(500), (response) => reply(server()?.of('tools/call')[0]?.id)(response)],
    },
  })
  const nameIn = (asked: Asked[]) =>
    JSON.stringify(asked.findLast(({ method }) => method === 'tools/call')?.params['arguments'])

  test('before the task: the client resumes it, and the task goes on', async () => {
    let server: TaskServer | undefined
    const script = breaking(
      () => server,
      (id) => stream(begun(id), 'stay'),
    )
    await using started = (server = await TaskServer.start(script))
    await using client = await connected(started)
    expect(textOf(await within(client.callTool(work), 'the result'))).toBe('{}')
    expect(started.of('GET').map(({ headers }) => headers['last-event-id'])).toEqual(['1', '1', '1'])
    expect(started.count('tools/call')).toBe(1)
    expect(started.of('tasks/get')[0]).toMatchObject({
      params: { taskId: 't', _meta: { [CAPABILITIES]: { elicitation: { form: {} } } } },
    })
  })

  test('again, before it had an event with an id: it is still known', async () => {
    const script = breaking(
      () => undefined,
      () => stream(begun(1), 'stay'),
    )
    const silent = stream(`data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/x' })}\n\n`, 'end')
    script.instead?.['GET']?.splice(0, 2, silent)
    await using server = await TaskServer.start(script)
    const fetch = durableFetch({ ...quick, tasks: true })
    const first = await read(server, 'Bearer x', {}, fetch)
    await first.first
    await first.read()
    await expect(first.read()).rejects.toThrow()
    const resume = async () => {
      const headers = { accept: 'text/event-stream', 'last-event-id': '1' }
      return (await fetch(server.url, { headers })).text()
    }
    expect(await resume()).not.toContain('done')
    expect(await resume()).toContain('"id":1')
    expect(server.count('tasks/get')).toBe(2)
  })

  test('of two servers, whose events have the same ids', async () => {
    const servers: TaskServer[] = []
    const scriptOf = (at: number) =>
      breaking(
        () => servers[at],
        (id) => stream(begun(id), 'stay'),
      )
    await using one = await TaskServer.start(scriptOf(0))
    await using other = await TaskServer.start(scriptOf(1))
    servers.push(one, other)
    const fetch = durableFetch({ ...quick, tasks: true })
    await using first = await connected(one, { fetch, tasks: false })
    await using second = await connected(other, { fetch, tasks: false })
    // Another request, so that the ids of the two calls differ.
    await second.listTools()
    const calls = [first, second].map((client, at) =>
      client.callTool({ ...work, arguments: { at } }).then(textOf),
    )
    expect(await within(Promise.all(calls), 'both results')).toEqual(['{"at":0}', '{"at":1}'])
  })
})

test('what is no request of this protocol version is sent as it is', async () => {
  const sent: unknown[] = []
  const fetch = durableFetch({
    tasks: true,
    fetch: async (_url, init) => {
      sent.push(init?.body)
      return Response.json({ resultType: 'task', taskId: 't' })
    },
  })
  const bodies = [
    { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x' } },
    {
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { _meta: { 'io.modelcontextprotocol/protocolVersion': '2025-11-25' } },
    },
    {
      jsonrpc: '2.0',
      method: 'notifications/initialized',
      params: { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } },
    },
  ].map((message) => JSON.stringify(message))
  for (const body of [...bodies, 'grant_type=x']) await fetch('http://a.test/', { method: 'POST', body })
  expect(sent).toEqual([...bodies, 'grant_type=x'])
})
