import { setImmediate as nextTurn } from 'node:timers/promises'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { Client as ClientV2, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../../../../test-support/index.js'
import { BEGINNING } from '../../src/store/index.js'
import { sessionIdOf } from '../../src/index.js'
import { connect, durableFetch, reconnect } from '../../src/client/index.js'
import type { ClientLike } from '../../src/client/index.js'
import { startNodes } from '../support/nodes.js'
import { within } from '../support/within.js'
import { cutter } from './cut.js'

const info = { name: 'test', version: '1' }
/** What the tests use of both clients. */
type TestClient = ClientLike & {
  fallbackNotificationHandler?: unknown
  callTool(params: { name: string; arguments?: Record<string, unknown> }): Promise<unknown>
  listTools(): Promise<unknown>
}

const setups = {
  v1: () => ({ client: new ClientV1(info) as unknown as TestClient }),
  v2: () => ({
    client: new ClientV2(info) as unknown as TestClient,
    transport: StreamableHTTPClientTransport,
  }),
}
const text = (result: unknown) => (result as { content: { text: string }[] }).content[0]?.text
const fetch = durableFetch({ initialDelayMs: 10, maxDelayMs: 100 })
const nodes = (settings = {}) => startNodes({ adapter: 'node', settings: { retryMs: 20, ...settings } })

/** Resolves with the data of the next log messages. */
function messages(client: TestClient, count: number): Promise<unknown[]> {
  const got: unknown[] = []
  return new Promise((resolve) => {
    client.fallbackNotificationHandler = async ({ params }: { params: { data: unknown } }) => {
      if (got.push(params.data) === count) resolve([...got])
    }
  })
}

// One signature for both: the overloads ask for a transport with a client that is not of 1.x.
const setup = (sdk: keyof typeof setups) =>
  ({ fetch, ...setups[sdk]() }) as unknown as ReturnType<(typeof setups)['v2']>

test('without any option: the official client of 1.x', async () => {
  await using running = await nodes()
  await using connection = await connect(running.endpoint(0).url)
  const { client, sessionId, protocolVersion } = connection
  expect(sessionId).toMatch(/^[\w-]{22}$/)
  expect(protocolVersion).toBe('2025-11-25')
  expect(text(await client.callTool({ name: 'echo', arguments: { text: 'hi' } }))).toBe('hi')

  await using second = await reconnect(running.endpoint(1).url, { sessionId, protocolVersion })
  expect(text(await second.client.callTool({ name: 'who' }))).toMatch('node-1')
  await second.end()
  await expect(client.listTools()).rejects.toThrow('Session not found')
})

test('headers go with every request', async () => {
  await using running = await nodes()
  const headers = { authorization: 'Bearer ada/secret' }
  await using connection = await connect(running.endpoint(0).url, { headers })
  expect(text(await connection.client.callTool({ name: 'who' }))).toMatch('"clientId":"ada"')
})

describe.each(['v1', 'v2'] as const)('the client %s', (sdk) => {
  test('goes on with a session on another node, and with its standalone stream', async () => {
    await using running = await nodes()
    const first = await connect(running.endpoint(0).url, setup(sdk))
    const { sessionId, protocolVersion } = first
    const notify = (node: number, data: string) =>
      running
        .mcp(node)
        .notify(sessionId, { method: 'notifications/message', params: { level: 'info', data } })
    await first.close()
    await notify(0, 'seen')
    await notify(0, 'missed')
    const [seen] = (await running.stores[0]?.read(sessionIdOf(sessionId), 'out', BEGINNING, 1)) ?? []

    const again = { sessionId, protocolVersion, lastEventId: `out.${seen?.id}` }
    const options = setup(sdk)
    const coming = messages(options.client, 2)
    await using second = await reconnect(running.endpoint(1).url, { ...options, ...again })
    expect(second.resumed).toBeUndefined()
    await notify(1, 'live')
    expect(await within(coming, 'both messages')).toEqual(['missed', 'live'])
  })

  test('goes on with the standalone stream without an event id', async () => {
    await using running = await nodes()
    const first = await connect(running.endpoint(0).url, setup(sdk))
    const { sessionId, protocolVersion } = first
    await first.close()
    const options = setup(sdk)
    const coming = messages(options.client, 1)
    await using second = await reconnect(running.endpoint(1).url, {
      ...options,
      sessionId,
      protocolVersion,
    })
    const params = { level: 'info', data: 'live' }
    await waitFor(async () => {
      await running.mcp(0).notify(sessionId, { method: 'notifications/message', params })
      return Promise.race([coming, nextTurn()])
    })
    expect(await coming).toEqual(['live'])
    expect(second.sessionId).toBe(sessionId)
  })

  test('gets the result of a call whose client is gone', async () => {
    await using running = await nodes()
    const { world } = running
    const first = await connect(running.endpoint(0).url, setup(sdk))
    let lastEventId = ''
    const got = new Promise<void>((resolve) => {
      const client = first.client as unknown as ClientV1
      const onresumptiontoken = (id: string) => {
        lastEventId = id
        resolve()
      }
      const call = { name: 'wait', arguments: { gate: 'g' } }
      const options = { onresumptiontoken }
      const calling =
        sdk === 'v1' ? client.callTool(call, undefined, options) : client.callTool(call, options as never)
      calling.catch(() => undefined)
    })
    await within(Promise.all([got, world.happened.until('started g')]), 'the call')
    const { sessionId, protocolVersion } = first
    await first.close()

    const again = { ...setup(sdk), sessionId, protocolVersion, lastEventId }
    await using second = await reconnect(running.endpoint(1).url, again)
    await second.client.listTools()
    world.gates.open('g')
    expect(text(await within(second.resumed!, 'the result'))).toBe('g on node-0')
  })

  test('notices nothing of connections that break at any moment', async () => {
    await using running = await nodes()
    await using proxy = await cutter(running.endpoints.map(({ url }) => url))
    await using connection = await connect(proxy.url, setup(sdk))
    const { client } = connection
    const { world } = running

    proxy.cutAnswers(3)
    expect(await client.listTools()).toHaveProperty('tools')

    // The answer of the POST, then of the GET that resumes: priming event included.
    proxy.cutAnswers(2)
    const result = client.callTool({ name: 'wait', arguments: { gate: 'g' } })
    await world.happened.until('started g')
    for (let round = 0; round < 5; round++) {
      proxy.cutAnswers(round)
      await client.listTools()
    }
    world.gates.open('g')
    expect(text(await within(result, 'the result'))).toMatch(/^g on node-\d$/)
    expect(world.happened.count('started g')).toBe(1)
  })

  test('waits for a server that is gone and comes back', async () => {
    await using running = await nodes()
    await using proxy = await cutter([running.endpoint(0).url])
    const options = setup(sdk)
    await using connection = await connect(proxy.url, options)
    proxy.cutAnswers(8)
    expect(text(await connection.client.callTool({ name: 'echo', arguments: { text: 'x' } }))).toBe('x')
  })
})

test('a connection that is closed has no outcome of the call it resumed', async () => {
  await using running = await nodes()
  const first = await connect(running.endpoint(0).url, { fetch })
  const lastEventId = await new Promise<string>((onresumptiontoken) => {
    const call = { name: 'wait', arguments: { gate: 'never' } }
    first.client.callTool(call, undefined, { onresumptiontoken }).catch(() => undefined)
  })
  const { sessionId, protocolVersion } = first
  await first.close()
  const second = await reconnect(running.endpoint(0).url, { fetch, sessionId, protocolVersion, lastEventId })
  await second.close()
  await expect(second.resumed).rejects.toMatchObject({ code: 'connection-closed' })
})

test('a server without sessions is refused', async () => {
  const nothing = () => Promise.resolve()
  const transport = class {
    send = nothing
    resumeStream = nothing
    terminateSession = nothing
  }
  const client = { connect: nothing, close: nothing }
  await expect(connect('http://127.0.0.1/mcp', { client, transport })).rejects.toMatchObject({
    code: 'no-session',
  })
})

test('a call that ended while its answer was lost is not run again', async () => {
  await using running = await nodes()
  await using proxy = await cutter(running.endpoints.map(({ url }) => url))
  await using connection = await connect(proxy.url, { fetch })
  running.world.gates.open('g')
  for (let round = 1; round <= 5; round++) {
    proxy.cutAnswers(1)
    const result = await connection.client.callTool({ name: 'wait', arguments: { gate: 'g' } })
    expect(text(result)).toMatch(/^g on node-\d$/)
    expect(running.world.happened.count('started g')).toBe(round)
  }
})
