import type { ServerResponse } from 'node:http'
import type { Client } from '@modelcontextprotocol/client'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../../../../test-support/index.js'
import { durableFetch } from '../../src/client/index.js'
import { pollMsOf } from '../../src/client/tasks/task-state.js'
import { within } from '../support/within.js'
import { json, never, stream } from './scripted-server.js'
import {
  EXTENSION,
  CAPABILITIES,
  done,
  working,
  connected,
  read,
  textOf,
  work,
  call,
  quick,
} from './task-client.js'
import { answering, refusing, resets, TaskServer } from './task-server.js'

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
