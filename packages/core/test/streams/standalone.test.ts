import { describe, expect, test } from 'vitest'
import { SessionGoneError } from '../../src/session/session-errors.js'
import { StandaloneMessages } from '../../src/session/standalone.js'
import { parseSettings } from '../../src/settings.js'
import { memoryStore } from '../../src/store/memory.js'
import { Watcher } from '../../src/store/watcher.js'
import { expectGone, untilRemembered } from '../support/expect-stream.js'
import { overriding } from '../support/overriding.js'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import { dataOf, LATEST, Session } from '../support/session.js'
import type { EventReader } from '../support/event-reader.js'
import { waitFor } from '../../../../test-support/index.js'

const log = (data: string) => ({ method: 'notifications/message', params: { level: 'info', data } })
const nextData = async (stream: EventReader) => dataOf((await stream.nextMessage()).message)

describe.each(SYSTEMS)('the standalone stream, $store, $host', ({ store, host }) => {
  // An upstream is heard while the client has a stream.
  test.skipIf(host === 'upstream')(
    'what was sent while none was open waits for the next one, on any node',
    async () => {
      await using nodes = await startNodes({ store, host })
      const session = await Session.begin(nodes)
      await session.result('tell', { count: 2 })
      await using stream = await session.stream(undefined, { node: 1 })
      expect([await nextData(stream), await nextData(stream)]).toEqual(['tell 1', 'tell 2'])
      await session.result('tell', { count: 1 })
      expect(await nextData(stream)).toBe('tell 1')
    },
  )

  test.each([LATEST, '2025-06-18'])(
    'resumes from each of its events on another node (%s)',
    async (version) => {
      await using nodes = await startNodes({ store, host })
      const session = await Session.begin(nodes, { version })
      await using stream = await session.stream()
      await session.result('tell', { count: 3 })
      for (let n = 1; n <= 3; n++) expect(await nextData(stream)).toBe(`tell ${n}`)
      for (const [index, { id }] of stream.seen.entries()) {
        await using resumed = await session.stream(id, { node: 1 })
        if (version === LATEST) expect(await resumed.next()).toMatchObject({ id, data: '' })
        for (const later of stream.seen.slice(index + 1)) expect(await resumed.next()).toEqual(later)
        await nodes.mcp(0).notify(session.id, log('last'))
        // Nothing else comes before what is sent now.
        for (;;) if ((await nextData(resumed)) === 'last') break
      }
    },
  )

  test('without a cursor, what another stream has delivered does not come again', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using first = await session.stream()
    await session.result('tell', { count: 2 })
    expect([await nextData(first), await nextData(first)]).toEqual(['tell 1', 'tell 2'])
    await untilRemembered(nodes.stores[0], session, first)
    await using next = await session.stream(undefined, { node: 1 })
    await nodes.mcp(1).notify(session.id, log('new'))
    expect(await nextData(next)).toBe('new')
  })

  test.each([0, 1])('a newer one replaces an older one, from node %i', async (node) => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using older = await session.stream()
    await older.next()
    await using newer = await session.stream(undefined, { node })
    await newer.next()
    expect(await older.rest()).toEqual([])
    await nodes.mcp(0).notify(session.id, log('on'))
    expect(await nextData(newer)).toBe('on')
  })

  test('of several that open at the same time exactly one stays', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    const streams = await Promise.all([0, 1, 0, 1].map((node) => session.stream(undefined, { node })))
    let open = streams.length
    for (const stream of streams)
      void stream.rest().then(
        () => open--,
        () => open--,
      )
    await waitFor(() => open <= 1)
    await nodes.mcp(0).notify(session.id, log('one'))
    await waitFor(() => streams.some(({ seen }) => seen.some(({ data }) => data.includes('one'))))
    const [reader] = streams.filter(({ seen }) => seen.some(({ data }) => data.includes('one')))
    await nodes.mcp(1).notify(session.id, log('two'))
    await waitFor(() => reader?.seen.some(({ data }) => data.includes('two')))
    expect(open).toBe(1)
    for (const stream of streams) await stream[Symbol.asyncDispose]()
  })

  test('a newer one does not touch the streams of calls', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using call = await session.call('wait', { gate: 'g' })
    await using older = await session.stream()
    await using newer = await session.stream(undefined, { node: 1 })
    expect((await older.rest()).map(({ data }) => data)).toEqual([''])
    nodes.world.gates.open('g')
    expect(await call.messages()).toHaveLength(1)
    expect((await newer.next())?.data).toBe('')
  })

  test.skipIf(host === 'upstream')(
    '410 when what follows was trimmed; without a cursor it goes on with what is kept',
    async () => {
      await using nodes = await startNodes({ store, host, settings: { maxStandaloneEvents: 3 } })
      const session = await Session.begin(nodes)
      await using stream = await session.stream()
      await session.result('tell', { count: 1 })
      await stream.nextMessage()
      const ids = stream.seen.map(({ id }) => id)
      await stream[Symbol.asyncDispose]()
      await session.result('tell', { count: 9 }, { node: 1 })
      // What a server behind HTTP says there comes after the result.
      await waitFor(async () => (await session.get(ids.at(-1))).status === 410)
      for (const id of ids) for (const node of [0, 1]) await expectGone(session, id, node)
      await using again = await session.stream(undefined, { node: 1 })
      for (const n of [7, 8, 9]) expect(await nextData(again)).toBe(`tell ${n}`)
    },
  )

  test('notify and broadcast, from any node', async () => {
    await using nodes = await startNodes({ store, host })
    const sessions = [
      await Session.begin(nodes),
      await Session.begin(nodes, { node: 1 }),
      await Session.begin(nodes),
    ]
    const streams = await Promise.all(
      sessions.map((session, n) => session.stream(undefined, { node: n % 2 })),
    )
    expect(await nodes.mcp(1).broadcast(log('all'))).toBe(3)
    for (const stream of streams) expect(await nextData(stream)).toBe('all')
    for (const node of [0, 1])
      expect(await nodes.mcp(node).notify(sessions[0]?.id ?? '', log('one'))).toBe(true)
    expect([await nextData(streams[0]!), await nextData(streams[0]!)]).toEqual(['one', 'one'])
    await sessions[2]?.delete()
    expect(await nodes.mcp(0).notify(sessions[2]?.id ?? '', log('gone'))).toBe(false)
    expect(await nodes.mcp(0).notify('A'.repeat(22), log('never'))).toBe(false)
    expect(await nodes.mcp(0).broadcast(log('rest'))).toBe(2)
    for (const stream of streams.slice(0, 2)) expect(await nextData(stream)).toBe('rest')
    for (const stream of streams) await stream[Symbol.asyncDispose]()
  })
})

/** What becomes of notifications on a stream at node 0: taken by the client, remembered as delivered. */
async function watched() {
  const order: string[] = []
  const nodes = await startNodes({
    wrap: (store, node) =>
      overriding(store, {
        saveDelivered: async () => void order.push('remembered'),
        leave: async () => void (node === 0 && order.push('left')),
      }),
  })
  const session = await Session.begin(nodes)
  const headers = { accept: 'text/event-stream', 'mcp-session-id': session.mcpSessionId }
  const response = await nodes.mcp(0).fetch(new Request('http://127.0.0.1/mcp', { headers }))
  const reader = response.body!.getReader()
  const take = async (data: string) => {
    for (let text = ''; !text.includes(data);) text += new TextDecoder().decode((await reader.read()).value)
    order.push(data)
  }
  const send = (data: string) => Promise.all([take(data), nodes.mcp(1).notify(session.id, log(data))])
  return { order, send, nodes, [Symbol.asyncDispose]: () => nodes[Symbol.asyncDispose]() }
}

test('what was sent is remembered as delivered only after it went out', async () => {
  await using stream = await watched()
  for (const [n, data] of ['first', 'second'].entries()) {
    await stream.send(data)
    await waitFor(() => stream.order.filter((what) => what === 'remembered').length > n)
  }
  expect(stream.order).toEqual(['first', 'remembered', 'second', 'remembered'])
})

test('what went out when a node leaves is remembered before it has left', async () => {
  await using stream = await watched()
  await stream.send('last')
  await stream.nodes.mcp(0).close({ graceMs: 0 })
  expect(stream.order).toEqual(['last', 'remembered', 'left'])
})

test('a question outside any call fails when its session is gone', async () => {
  const store = memoryStore()
  const messages = new StandaloneMessages(store, new Watcher(store), parseSettings({}))
  const question = { jsonrpc: '2.0', id: 'q', method: 'roots/list' } as const
  await expect(messages.of('gone').send(question)).rejects.toThrow(SessionGoneError)
  await messages.of('gone').send({ jsonrpc: '2.0', ...log('nobody is there') })
})
