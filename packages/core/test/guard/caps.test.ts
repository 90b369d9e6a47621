import { describe, expect, test, vi } from 'vitest'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { durablePrompt } from '../../src/index.js'
import type { DurableContext } from '../../src/index.js'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import { expectJson, expectRefused, expectStream, initialize, Session } from '../support/session.js'
import { waitFor } from '../../../../test-support/index.js'

const wait = (gate: string) => ({ name: 'wait', arguments: { gate } })

/** `passes`: there may be room soon. Else a client would only ask again and again. */
async function expectTooMany(response: Response, passes = true) {
  expect(response.headers.get('retry-after')).toBe(passes ? '1' : null)
  await expectRefused(response, 429, -32000)
}

describe.each(SYSTEMS)('[G-11] caps, $store, $host', ({ store, host }) => {
  test('open calls of a session, over all nodes', async () => {
    await using nodes = await startNodes({ store, host, settings: { maxOpenCalls: 3 } })
    const session = await Session.begin(nodes)
    const other = await Session.begin(nodes)
    const calls = await Promise.all(
      [0, 1, 0].map((node, n) => session.call('wait', { gate: `g${n}` }, { node })),
    )
    for (const node of [0, 1]) await expectTooMany(await session.request('tools/call', wait('g'), { node }))
    await using elsewhere = await other.call('wait', { gate: 'g0' })
    nodes.world.gates.open('g0')
    expect(await elsewhere.messages()).toHaveLength(1)
    expect(await calls[0]?.messages()).toHaveLength(1)
    expect(await session.result('echo', { text: 'free again' }, { node: 1 })).toBe('free again')
    for (const call of calls) await call[Symbol.asyncDispose]()
  })

  test('bytes in the requests of open calls', async () => {
    await using nodes = await startNodes({ store, host, settings: { maxOpenBytes: 100_000 } })
    const session = await Session.begin(nodes)
    const large = (gate: string) => ({ name: 'wait', arguments: { gate, filler: 'x'.repeat(60_000) } })
    await using call = await expectStream(await session.request('tools/call', large('a')))
    await call.next()
    for (const node of [0, 1]) await expectTooMany(await session.request('tools/call', large('b'), { node }))
    expect(await session.result('echo', { text: 'small' })).toBe('small')
    nodes.world.gates.open('a')
    nodes.world.gates.open('b')
    await call.messages()
    await using next = await expectStream(await session.request('tools/call', large('b'), { node: 1 }))
    expect(await next.messages()).toHaveLength(1)
  })

  test('of many calls at once no more than the cap are opened', async () => {
    await using nodes = await startNodes({ store, host, settings: { maxOpenCalls: 5 } })
    const session = await Session.begin(nodes)
    const responses = await Promise.all(
      Array.from({ length: 20 }, (_, node) => session.request('tools/call', wait('g'), { node: node % 2 })),
    )
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(5)
    expect(responses.filter(({ status }) => status === 429)).toHaveLength(15)
    nodes.world.gates.open('g')
    await Promise.all(responses.map((response) => response.text()))
  })

  test('a batch that would go past the cap is refused as a whole', async () => {
    await using nodes = await startNodes({ store, host, settings: { maxOpenCalls: 2 } })
    const session = await Session.begin(nodes, { version: '2025-03-26' })
    const batch = [1, 2, 3].map((id) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: wait('g') }))
    await expectTooMany(await session.post(batch))
    expect(nodes.world.happened.all).not.toContain('started g')
  })

  test('a request that would be journaled past the cap is refused then', async () => {
    await using nodes = await startNodes({ store, host, settings: { maxOpenCalls: 1 } })
    const session = await Session.begin(nodes)
    await using call = await session.call('wait', { gate: 'a' })
    await expectTooMany(await session.request('prompts/get', { name: 'noisy', arguments: { gate: 'b' } }))
    nodes.world.gates.open('a')
    expect(await call.messages()).toHaveLength(1)
  })

  test.runIf(host === 'server')('its handler is told that it has been stopped', async () => {
    const told: unknown[] = []
    const server = () => {
      const made = new McpServer({ name: 'capped', version: '1' }, { capabilities: { logging: {} } })
      made.registerTool('wait', {}, () => new Promise<never>(() => undefined))
      const prompt = durablePrompt(async (_args, ctx: DurableContext) => {
        await ctx.info('say').catch((error: unknown) => told.push(error))
        return { messages: [] }
      })
      made.registerPrompt('noisy', {}, prompt)
      return made
    }
    await using nodes = await startNodes({ store, host, settings: { server, maxOpenCalls: 1 } })
    const session = await Session.begin(nodes)
    await using call = await session.call('wait')
    await call.next()
    await expectTooMany(await session.request('prompts/get', { name: 'noisy' }))
    await waitFor(() => told.length === 1)
    expect(told).toMatchObject([{ code: 'call-stopped' }])
  })

  test('open streams of a session on a node', async () => {
    await using nodes = await startNodes({ store, host, settings: { maxOpenStreams: 3 } })
    const session = await Session.begin(nodes)
    await using call = await session.call('wait', { gate: 'g' })
    const priming = await call.next()
    const responses = await Promise.all(Array.from({ length: 10 }, () => session.get(priming?.id)))
    expect(responses.filter(({ status }) => status === 200)).toHaveLength(2)
    expect(responses.filter(({ status }) => status === 429)).toHaveLength(8)
    await expectTooMany(await session.get())
    await expectTooMany(await session.get(priming?.id))
    expect((await session.request('ping')).status).toBe(200)
    for (const response of responses) await response.body?.cancel()
    await waitFor(async () => {
      const response = await session.get()
      await response.body?.cancel()
      return response.status === 200
    })
  })

  test('sessions of a principal', async () => {
    await using nodes = await startNodes({
      store,
      host,
      settings: { maxSessionsPerPrincipal: 2, evictSessions: false },
    })
    const sessions = [
      await Session.begin(nodes, { who: 'alice/1' }),
      await Session.begin(nodes, { who: 'alice/2', node: 1 }),
    ]
    for (const node of [0, 1]) await expectTooMany(await initialize(nodes, { who: 'alice/3', node }), false)
    await Session.begin(nodes, { who: 'bob/1' })
    for (let n = 0; n < 4; n++) await Session.begin(nodes)
    await sessions[0]?.delete({ node: 1 })
    await Session.begin(nodes, { who: 'alice/3' })
    await expectTooMany(await initialize(nodes, { who: 'alice/4' }), false)
  })

  test('a principal that begins too many sessions loses the one that was idle for longest', async () => {
    await using nodes = await startNodes({
      store,
      host,
      settings: { maxSessionsPerPrincipal: 2, serverIdleMs: 1 },
    })
    const busy = await Session.begin(nodes, { who: 'alice/1' })
    await using call = await busy.call('wait', { gate: 'g' })
    await nodes.world.happened.until('started g')
    const idle = await Session.begin(nodes, { who: 'alice/2', node: 1 })
    const next = await waitFor(async () => {
      const response = await initialize(nodes, { who: 'alice/3', node: 1 })
      await response.body?.cancel()
      return response.status === 200 && response
    })
    expect(next.headers.get('mcp-session-id')).toMatch(/./)
    await expectRefused(await idle.request('ping'), 404)
    nodes.world.gates.open('g')
    expect(await call.messages()).toHaveLength(1)
  })

  test('state of a session', async () => {
    // initialize, initialized, and two subscriptions.
    await using nodes = await startNodes({ store, host, settings: { maxStateEntries: 4 } })
    const session = await Session.begin(nodes)
    const subscribe = async (uri: string, node = 0) =>
      expectJson(await session.request('resources/subscribe', { uri }, { node }))
    for (const uri of ['test://1', 'test://2', 'test://1'])
      expect(await subscribe(uri)).toHaveProperty('result')
    for (const node of [0, 1]) expect(await subscribe('test://3', node)).toHaveProperty('error')
    await expectTooMany(
      await session.post({ jsonrpc: '2.0', method: 'notifications/roots/list_changed' }),
      false,
    )
    expect(await session.result('touch', { uri: 'test://1' }, { node: 1 })).toBe('updated')
    expect(await subscribe('test://2', 1)).toHaveProperty('result')
  })
})

test('a limit that is reached is on the log, once a minute', async () => {
  await using nodes = await startNodes({
    count: 1,
    settings: { maxSessionsPerPrincipal: 1, maxOpenStreams: 1, evictSessions: false },
  })
  const session = await Session.begin(nodes, { who: 'alice/1' })
  const refused = () => nodes.logs.filter(({ message }) => message.startsWith('refused with 429'))
  for (let n = 0; n < 3; n++) await expectTooMany(await initialize(nodes, { who: 'alice/2' }), false)
  expect(refused()).toEqual([
    { level: 'warn', fields: { requests: 1 }, message: expect.stringContaining('as many sessions') },
  ])
  await using _ = await session.stream()
  await using call = await session.call('wait', { gate: 'g' })
  await call.next()
  await expectTooMany(await session.get())
  expect(refused()[1]?.message).toContain('as many open streams')
  const clock = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 60_000)
  await expectTooMany(await initialize(nodes, { who: 'alice/2' }), false)
  clock.mockRestore()
  expect(refused()[2]?.fields).toEqual({ requests: 3 })
})
