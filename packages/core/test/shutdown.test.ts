import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { StoreError } from '../src/errors.js'
import { durable } from '../src/index.js'
import type { Store } from '../src/index.js'
import { capture, startNodes, SYSTEMS } from './support/nodes.js'
import { overriding } from './support/overriding.js'
import { RunningCall } from './support/running-call.js'
import { serverV1 } from './support/server-v1.js'
import { expectJson, expectRefused, initialize, Session, textOf } from './support/session.js'
import { EventReader } from './support/event-reader.js'
import { slowStore } from './support/slow-store.js'
import { within } from './support/within.js'
import { Happenings } from './support/world.js'
import { waitFor } from '../../../test-support/index.js'

const LONG = 60_000

describe.each(SYSTEMS)('a node that is shut down, $store, $host', ({ store, host }) => {
  test('lets a running call finish, and takes nothing new meanwhile', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using call = await session.call('wait', { gate: 'g' })
    const priming = await call.next()
    await nodes.world.happened.until('started g')
    const closed = nodes.mcp(0).close({ graceMs: LONG })
    const uses = [
      session.request('tools/call', { name: 'echo', arguments: { text: '' } }),
      session.request('ping'),
      session.get(),
      session.delete(),
      initialize(nodes),
    ]
    for (const response of await Promise.all(uses)) {
      expect(response.headers.get('retry-after')).toBe('1')
      await expectRefused(response, 503)
    }
    expect(await session.result('echo', { text: 'elsewhere' }, { node: 1 })).toBe('elsewhere')
    nodes.world.gates.open('g')
    await within(closed, 'closing')
    await using resumed = await session.stream(priming?.id, { node: 1 })
    expect((await resumed.messages()).map(textOf)).toEqual([`g on ${nodes.servers[0]}`])
  })

  test.each([Number.POSITIVE_INFINITY, 2 ** 31, 30 * 86_400_000])(
    'gives calls a grace of %s ms: longer than a timer of Node.js is',
    async (graceMs) => {
      await using nodes = await startNodes({ store, host })
      const session = await Session.begin(nodes)
      await using call = await session.call('wait', { gate: 'g' })
      await call.next()
      await nodes.world.happened.until('started g')
      const closed = nodes.mcp(0).close({ graceMs })
      await expectRefused(await session.request('ping'), 503)
      nodes.world.gates.open('g')
      await within(closed, 'closing')
      expect((await call.messages()).map(textOf)).toEqual([`g on ${nodes.servers[0]}`])
    },
  )

  test('still takes answers and cancellations for its calls, at the other node', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using asking = await session.call('ask', { question: 'roots', related: true })
    await using cancelled = await session.call('wait', { gate: 'g' }, { id: 'c' })
    const { message } = await asking.nextMessage()
    await nodes.world.happened.until('started g')
    const closed = nodes.mcp(0).close({ graceMs: LONG })
    await session.answer((message as { id: string }).id, { roots: [] }, { node: 1 })
    await session.notify('notifications/cancelled', { requestId: 'c' }, { node: 1 })
    expect((await asking.messages()).map(textOf)).toEqual(['{"roots":[]}'])
    expect(await cancelled.messages()).toEqual([])
    await within(closed, 'closing')
  })

  // With an upstream nothing ends: it goes on with its call, whichever node is there.
  test.skipIf(host === 'upstream')(
    'ends what does not finish in time: the client is told, here or on another node',
    async () => {
      await using nodes = await startNodes({ store, host })
      const session = await Session.begin(nodes)
      await using call = await session.call('wait', { gate: 'never' })
      const priming = await call.next()
      await nodes.world.happened.until('started never')
      await within(nodes.mcp(0).close({ graceMs: 20 }), 'closing')
      await nodes.world.happened.until('aborted never')
      const told = [...(await call.messages())]
      await using resumed = await session.stream(priming?.id, { node: 1 })
      const [message, ...more] = await resumed.messages()
      expect(JSON.stringify(message)).toMatch(/unknown/)
      expect(more).toEqual([])
      expect([[], [message]]).toContainEqual(told)
    },
  )

  test('ends its streams, which go on elsewhere', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    const other = await Session.begin(nodes)
    await using standalone = await session.stream()
    await using call = await other.call('wait', { gate: 'g' }, { node: 1 })
    const priming = await call.next()
    await using resumed = await other.stream(priming?.id)
    await within(nodes.mcp(0).close({ graceMs: 20 }), 'closing')
    const [cursor] = await standalone.rest()
    expect((await resumed.rest()).map(({ data }) => data)).toEqual([''])
    await nodes.mcp(1).notify(session.id, { method: 'notifications/tools/list_changed' })
    await using next = await session.stream(cursor?.id, { node: 1 })
    expect((await next.nextMessage()).message).toMatchObject({ method: 'notifications/tools/list_changed' })
    nodes.world.gates.open('g')
    expect((await call.messages()).map(textOf)).toEqual([`g on ${nodes.servers[1]}`])
  })

  test('answers requests that are not journaled, or says that they were not', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    const prompt = (gate: string) => session.request('prompts/get', { name: 'wait', arguments: { gate } })
    const [finished, never] = [prompt('g'), prompt('never')]
    await nodes.world.happened.until('started g')
    await nodes.world.happened.until('started never')
    const closed = nodes.mcp(0).close({ graceMs: 300 })
    nodes.world.gates.open('g')
    expect(JSON.stringify(await expectJson(await finished))).toContain(`g on ${nodes.servers[0]}`)
    await expectRefused(await never, 503)
    await within(closed, 'closing')
  })

  test('under load every request gets an end', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    const responses = Array.from({ length: 50 }, (_, n) =>
      n % 2 === 0
        ? session.request('tools/call', { name: 'echo', arguments: { text: 'e' } })
        : session.request('tools/call', { name: 'wait', arguments: { gate: 'never' } }),
    )
    const closed = nodes.mcp(0).close({ graceMs: 20 })
    for (const response of await Promise.all(responses)) {
      if (response.status === 503) await expectRefused(response, 503)
      else await new EventReader(response).rest()
    }
    await within(closed, 'closing')
    // An upstream goes on with what it had begun.
    nodes.world.gates.open('never')
    await waitFor(async () => (await nodes.stores[1]!.findCalls(session.id, '')).length === 0)
  })

  test('can be told twice', async () => {
    await using nodes = await startNodes({ store, host })
    await Session.begin(nodes)
    const closing = [nodes.mcp(0).close({ graceMs: LONG }), nodes.mcp(0).close()]
    await within(Promise.all(closing), 'closing')
    await expect(nodes.mcp(0).close()).resolves.toBeUndefined()
  })
})

// The wake-up overtakes the answer to the append, and the stream is reading when the call has ended.
test('a call that finished is given to its client, also to one that could not come back', async () => {
  await using nodes = await startNodes({ wrap: (store) => slowStore(store, { appendCall: 10, read: 50 }) })
  const session = await Session.begin(nodes, { version: '2025-06-18' })
  await using call = await session.call('wait', { gate: 'g' })
  await nodes.world.happened.until('started g')
  const closed = nodes.mcp(0).close({ graceMs: LONG })
  nodes.world.gates.open('g')
  expect((await call.messages()).map(textOf)).toEqual([`g on ${nodes.servers[0]}`])
  await within(closed, 'closing')
})

// The grace period is over before the store has answered.
test.each(['admit', 'openCall', 'readSession', 'publish'] as const)(
  'a request that hangs in %s gets an end',
  async (operation) => {
    await using nodes = await startNodes({
      wrap: (store, node) => (node === 0 ? slowStore(store, { [operation]: 300 }) : store),
    })
    const session = await Session.begin(nodes, { node: 1 })
    const requests = [
      session.request('tools/call', { name: 'wait', arguments: { gate: 'g' } }),
      session.request('prompts/get', { name: 'wait', arguments: { gate: 'g' } }),
      session.get(),
    ]
    await within(nodes.mcp(0).close({ graceMs: 20 }), 'closing')
    for (const response of await Promise.all(requests)) {
      if (response.status === 503) await expectRefused(response, 503)
      else await new EventReader(response).rest()
    }
    // What was recorded and not begun is run by the other node.
    nodes.world.gates.open('g')
    await waitFor(async () => (await nodes.stores[1]!.findCalls(session.id, '')).length === 0)
  },
)

test('connections are closed, so that a client comes back through the balancer', async () => {
  await using nodes = await startNodes({ adapter: 'node' })
  const session = await Session.begin(nodes)
  await nodes.mcp(0).close()
  const headers = { 'mcp-session-id': session.mcpSessionId, 'content-type': 'application/json' }
  const sent = request(nodes.endpoint(0).url, { method: 'POST', headers })
  sent.end('{}')
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  expect(response.statusCode).toBe(503)
  expect(response.headers.connection).toBe('close')
  response.resume()
})

test.each([Number.NaN, -1])('a grace of %s ms is refused, and the node stays', async (graceMs) => {
  await using nodes = await startNodes()
  const session = await Session.begin(nodes)
  await expect(nodes.mcp(0).close({ graceMs })).rejects.toThrow(TypeError)
  expect(await session.result('echo', { text: 'still here' })).toBe('still here')
})

test.each(['heartbeatMs', 'sweepMs'])('a %s longer than a timer of Node.js is no busy loop', async (name) => {
  let operations = 0
  const counting = (store: Store): Store =>
    new Proxy(store, {
      get(target, member) {
        if (member === 'beat' || member === 'listNodes') operations++
        const value = Reflect.get(target, member, target) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  const settings = { heartbeatMs: 2 ** 40, sweepMs: 2 ** 40, [name]: 2 ** 31 }
  await using nodes = await startNodes({ count: 1, wrap: counting, settings })
  await Session.begin(nodes)
  const before = operations
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(operations - before).toBeLessThan(5)
})

test('drain() resolves although close() comes meanwhile', async () => {
  await using nodes = await startNodes()
  await using _ = await RunningCall.ofTool(nodes, 'look', { gate: 'g' })
  await nodes.world.happened.until('started g')
  const drained = nodes.mcp(0).drain()
  await nodes.mcp(0).close({ graceMs: 100 })
  await within(drained, 'draining')
  expect(nodes.world.happened.all).not.toContain('passed g')
})

test('a request that is being recorded as its node leaves is answered', async () => {
  const happened = new Happenings()
  let isAway = false
  const wrap = (store: Store) =>
    overriding(store, {
      openCall: async (call) => {
        if (!isAway) return store.openCall(call)
        happened.add('opening')
        await happened.until('leaves')
        throw new StoreError('store-unavailable', 'away')
      },
      leave: (node) => {
        happened.add('leaves')
        return store.leave(node)
      },
    })
  await using nodes = await startNodes({ count: 1, wrap })
  const session = await Session.begin(nodes)
  isAway = true
  const answer = session.request('prompts/get', { name: 'wait', arguments: { gate: 'g' } })
  await happened.until('opening')
  const closed = nodes.mcp(0).close({ graceMs: 0 })
  expect((await within(answer, 'an answer')).status).toBe(503)
  await closed
})

test('a request that says something first is refused by a node that is drained, for another one', async () => {
  await using nodes = await startNodes()
  const session = await Session.begin(nodes)
  await nodes.mcp(0).drain()
  nodes.world.gates.open('g')
  const noisy = { name: 'noisy', arguments: { gate: 'g' } }
  expect((await session.request('prompts/get', noisy)).status).toBe(503)
  expect((await session.request('prompts/get', noisy, { node: 1 })).status).toBe(200)
})

test('what a drained node has given back is begun by a node that starts later', async () => {
  await using nodes = await startNodes({ count: 1 })
  await using _ = await RunningCall.ofTool(nodes, 'look', { gate: 'g' })
  await nodes.world.happened.until('started g')
  await nodes.mcp(0).drain({ graceMs: 0 })
  // It might have begun it again itself by then.
  await sleep(1500)
  const later = durable({
    store: nodes.stores[0]!,
    server: () => serverV1('later', nodes.world),
    logger: capture(nodes.logs),
  })
  await nodes.world.happened.until('started g', 2)
  await later.close({ graceMs: 0 })
  expect(nodes.world.happened.count('started g')).toBe(2)
})
