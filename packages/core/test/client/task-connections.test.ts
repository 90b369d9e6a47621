import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { describe, expect, test } from 'vitest'
import { durableFetch } from '../../src/client/index.js'
import { within } from '../support/within.js'
import { stream } from './scripted-server.js'
import type { Reply } from './scripted-server.js'
import {
  CAPABILITIES,
  done,
  working,
  question,
  connected,
  read,
  textOf,
  work,
  call,
  quick,
} from './task-client.js'
import { refusing, resets, TaskServer } from './task-server.js'
import type { Asked, TaskScript } from './task-server.js'

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
