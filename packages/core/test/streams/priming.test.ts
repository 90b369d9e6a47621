import { describe, expect, test } from 'vitest'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import { ADAPTERS } from '../support/serve.js'
import { expectJson, LATEST, Session, textOf } from '../support/session.js'

const EVENT_ID = /^[\w-]{22}\.\d+-\d+$/
const OLD = ['2025-06-18', '2025-03-26', '2024-11-05']

describe.each(SYSTEMS)('what a stream begins with, $store, $host', ({ store, host }) => {
  test('a call is primed with an id and a retry, before anything runs', async () => {
    await using nodes = await startNodes({ store, host, settings: { retryMs: 321 } })
    const session = await Session.begin(nodes)
    await using stream = await session.call('wait', { gate: 'g' })
    const priming = await stream.next()
    expect(priming).toMatchObject({ data: '', id: expect.stringMatching(EVENT_ID) as string })
    expect(stream.retry).toBe(321)
    nodes.world.gates.open('g')
    const response = await stream.next()
    expect(response?.id).toMatch(/^[\w-]{22}\.\d+-\d+\.end$/)
    expect(textOf(JSON.parse(response?.data ?? '') as never)).toBe(`g on ${nodes.servers[0]}`)
    expect(await stream.next()).toBeUndefined()
  })

  test('ids of a call grow and are all of one stream', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using stream = await session.call('say', { count: 3 })
    const events = await stream.rest()
    expect(events).toHaveLength(5)
    const ids = events.map(({ id = '' }) => id.replace(/\.end$/, ''))
    expect(new Set(ids.map((id) => id.split('.')[0])).size).toBe(1)
    const sequence = ids.map((id) => Number(id.split('-').at(-1)))
    expect(sequence).toEqual(sequence.toSorted((a, b) => a - b))
    expect(new Set(ids).size).toBe(5)
  })

  test.each(OLD)('nothing is primed for %s, and its events have ids', async (version) => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes, { version })
    await using stream = await session.call('say', { count: 1 })
    const events = await stream.rest()
    expect(events).toHaveLength(2)
    for (const { data, id } of events) expect([data === '', id === undefined]).toEqual([false, false])
  })

  test('the standalone stream is primed', async () => {
    await using nodes = await startNodes({ store, host, settings: { retryMs: 9 } })
    const session = await Session.begin(nodes)
    await using stream = await session.stream()
    expect(await stream.next()).toMatchObject({
      data: '',
      id: expect.stringMatching(/^out\.\d+-\d+$/) as string,
    })
    expect(stream.retry).toBe(9)
  })

  test('quick requests are answered with JSON and leave no journal', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    for (const method of ['tools/list', 'ping', 'prompts/list', 'resources/list', 'no/such/method']) {
      const response = await session.request(method, undefined, { id: 'quick' })
      expect(response.headers.get('mcp-session-id')).toBe(session.mcpSessionId)
      expect(await expectJson(response)).toMatchObject({ jsonrpc: '2.0', id: 'quick' })
    }
    expect(await nodes.stores[0]?.findCalls(session.id, '')).toEqual([])
  })
})

describe.each(ADAPTERS)('headers through %s', (adapter) => {
  test.each([LATEST, ...OLD])('a stream without a first event opens at once (%s)', async (version) => {
    await using nodes = await startNodes({ adapter })
    const session = await Session.begin(nodes, { version })
    await using standalone = await session.stream(undefined, { node: 1 })
    await using call = await session.call('wait', { gate: 'g' })
    for (const { response } of [standalone, call]) {
      expect(response.headers.get('content-type')).toBe('text/event-stream')
      expect(response.headers.get('cache-control')).toContain('no-cache')
      expect(response.headers.get('mcp-session-id')).toBe(session.mcpSessionId)
    }
    nodes.world.gates.open('g')
    expect((await call.messages()).map(textOf)).toEqual([`g on ${nodes.servers[0]}`])
  })
})
