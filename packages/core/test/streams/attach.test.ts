import { describe, expect, test } from 'vitest'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import { encodeRecord } from '../../src/call/record.js'
import type { RecordedRequest } from '../../src/call/record.js'
import { eventId } from '../../src/http/events.js'
import { randomId, requestKey } from '../../src/ids.js'
import type { JsonRpcRequest } from '../../src/json-rpc.js'
import { dataOf, expectRefused, LATEST, Session, textOf } from '../support/session.js'
import { waitFor } from '../../../../test-support/index.js'

describe.each(SYSTEMS)('the same POST again, $store, $host', ({ store, host }) => {
  test.each([0, 1])('runs the tool once while it runs, and both get all of it (node %i)', async (node) => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    const args = { count: 2, gate: 'g' }
    await using one = await session.call('say', args, { id: 5 })
    await nodes.world.happened.until('started g')
    await using other = await session.call('say', args, { id: 5, node })
    nodes.world.gates.open('g')
    const [events, again] = [await one.rest(), await other.rest()]
    expect(again).toEqual(events)
    expect(events).toHaveLength(4)
    expect(nodes.world.happened.count('started g')).toBe(1)
  })

  test('sent to both nodes at the same time', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    const streams = await Promise.all(
      Array.from({ length: 6 }, (_, n) => session.call('wait', { gate: 'g' }, { id: 5, node: n % 2 })),
    )
    await nodes.world.happened.until('started g')
    nodes.world.gates.open('g')
    const texts = await Promise.all(streams.map(async (stream) => (await stream.messages()).map(textOf)))
    expect(new Set(texts.flat()).size).toBe(1)
    expect(texts.flat()).toHaveLength(6)
    expect(nodes.world.happened.count('started g')).toBe(1)
  })

  test.each(['the same POST', 'its stream'])(
    'a call of a node that nobody knows comes to an end when somebody asks for it, by %s',
    async (asked) => {
      await using nodes = await startNodes({ store, host })
      const session = await Session.begin(nodes)
      // What a node leaves that has opened a call after it was taken for dead, and died then.
      const request = {
        jsonrpc: '2.0',
        id: 5,
        method: 'tools/call',
        params: { name: 'wait', arguments: { gate: 'g' } },
      }
      const recorded = { messages: [request], batch: false, protocol: LATEST, node: 'gone' }
      const left = await nodes.stores[0]!.openCall({
        scope: session.id,
        callId: randomId(),
        owner: randomId(),
        principal: undefined,
        requestKeys: [requestKey(request as JsonRpcRequest)],
        data: encodeRecord({ kind: 'request', request: recorded as RecordedRequest }),
        ttlMs: 60_000,
        maxOpenCalls: 10,
      })
      if (left.status !== 'opened') throw new Error(left.status)
      const { callId } = (await nodes.stores[0]!.listOpenCalls(session.id))[0]!
      await using stream =
        asked === 'its stream'
          ? await session.stream(eventId(`call:${callId}`, left.id))
          : await session.call('wait', { gate: 'g' }, { id: 5 })
      expect((await stream.messages()).map(textOf)).toEqual([
        expect.stringContaining('its outcome is unknown'),
      ])
    },
  )

  test('runs again when the first has ended', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    nodes.world.gates.open('g')
    expect(await session.result('wait', { gate: 'g' }, { id: 5 })).toBe(`g on ${nodes.servers[0]}`)
    expect(await session.result('wait', { gate: 'g' }, { id: 5, node: 1 })).toBe(`g on ${nodes.servers[1]}`)
    expect(nodes.world.happened.count('started g')).toBe(2)
  })

  test('another payload with the same id is another call', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using one = await session.call('wait', { gate: 'a' }, { id: 5 })
    await using other = await session.call('wait', { gate: 'b' }, { id: 5, node: 1 })
    nodes.world.gates.open('b')
    expect((await other.messages()).map(textOf)).toEqual([`b on ${nodes.servers[1]}`])
    nodes.world.gates.open('a')
    expect((await one.messages()).map(textOf)).toEqual([`a on ${nodes.servers[0]}`])
  })

  test('another type of id is another call', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using one = await session.call('wait', { gate: 'g' }, { id: 5 })
    await using other = await session.call('wait', { gate: 'g' }, { id: '5', node: 1 })
    await nodes.world.happened.until('started g', 2)
    nodes.world.gates.open('g')
    expect(await one.messages()).toMatchObject([{ id: 5 }])
    expect(await other.messages()).toMatchObject([{ id: '5' }])
  })

  test('another session is another call, and a foreign one sees nothing', async () => {
    await using nodes = await startNodes({ store, host })
    const alice = await Session.begin(nodes, { who: 'alice/1' })
    const bob = await Session.begin(nodes, { who: 'bob/1' })
    await using one = await alice.call('wait', { gate: 'g' }, { id: 5 })
    await using other = await bob.call('wait', { gate: 'g' }, { id: 5, node: 1 })
    await nodes.world.happened.until('started g', 2)
    const body = { name: 'wait', arguments: { gate: 'g' } }
    await expectRefused(await alice.request('tools/call', body, { id: 5, who: 'bob/1' }), 404, -32001)
    nodes.world.gates.open('g')
    for (const stream of [one, other]) expect(await stream.messages()).toHaveLength(1)
    expect(nodes.world.happened.count('started g')).toBe(2)
  })

  test('with progress: both see it', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using one = await session.call('say', { count: 1, gate: 'g' }, { id: 5, token: 't' })
    await using other = await session.call('say', { count: 1, gate: 'g' }, { id: 5, token: 't', node: 1 })
    nodes.world.gates.open('g')
    for (const stream of [one, other]) expect((await stream.messages()).map(dataOf)[0]).toBe('say 1')
  })
})

describe.each(SYSTEMS)('the same POST again with an Idempotency-Key, $store, $host', ({ store, host }) => {
  const headers = { 'idempotency-key': 'key of this call' }

  test.each([0, 1])('joins its call also after that has ended (node %i)', async (node) => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    nodes.world.gates.open('g')
    await using first = await session.call('wait', { gate: 'g' }, { id: 5, headers })
    const events = await first.rest()
    await using again = await session.call('wait', { gate: 'g' }, { id: 5, headers, node })
    expect(await again.rest()).toEqual(events)
    expect(nodes.world.happened.count('started g')).toBe(1)
  })

  test('another key, or none, is another call', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    nodes.world.gates.open('g')
    for (const key of ['a', 'b', undefined, undefined]) {
      await session.result('wait', { gate: 'g' }, { id: 5, headers: { 'idempotency-key': key } })
    }
    expect(nodes.world.happened.count('started g')).toBe(4)
  })

  test('another payload with the same key is not answered with what the first one got', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    expect(await session.result('echo', { text: 'one' }, { id: 5, headers })).toBe('one')
    expect(await session.result('echo', { text: 'other' }, { id: 5, headers })).toBe('other')
  })

  test('a key of another session is no key', async () => {
    await using nodes = await startNodes({ store, host })
    const [mine, other] = [await Session.begin(nodes), await Session.begin(nodes)]
    nodes.world.gates.open('g')
    for (const session of [mine, other]) await session.result('wait', { gate: 'g' }, { id: 5, headers })
    expect(nodes.world.happened.count('started g')).toBe(2)
  })

  test('it is forgotten with the journal', async () => {
    await using nodes = await startNodes({ store, host, settings: { resumeWindowMs: 100 } })
    const session = await Session.begin(nodes)
    nodes.world.gates.open('g')
    await waitFor(async () => {
      await session.result('wait', { gate: 'g' }, { id: 5, headers })
      return nodes.world.happened.count('started g') > 1
    })
  })

  test.each(['x'.repeat(256), 'x'.repeat(10_000)])('an overlong one is refused', async (key) => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    const where = { headers: { 'idempotency-key': key } }
    await expectRefused(
      await session.request('tools/call', { name: 'echo', arguments: {} }, where),
      400,
      -32000,
    )
  })
})
