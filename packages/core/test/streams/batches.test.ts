import { describe, expect, test } from 'vitest'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import { expectJson, expectRefused, expectStream, LATEST, Session, textOf } from '../support/session.js'

const version = '2025-03-26'
const request = (id: number | string, method: string, params?: object) => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
})
const call = (id: number | string, name: string, args: object) =>
  request(id, 'tools/call', { name, arguments: args })
const notification = (method: string, params?: object) => ({ jsonrpc: '2.0', method, params })

describe.each(SYSTEMS)('[C-11] batches of 2025-03-26, $store, $host', ({ store, host }) => {
  test('requests that need no journal are answered in order with JSON', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes, { version })
    const batch = [request('b', 'ping'), request('a', 'tools/list'), request(0, 'no/such/method')]
    const responses = await expectJson<{ id: unknown }[]>(await session.post(batch, { node: 1 }))
    expect(responses.map(({ id }) => id)).toEqual(['b', 'a', 0])
  })

  test('with a call: one stream has all responses, and resumes', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes, { version })
    const batch = [
      call(1, 'wait', { gate: 'g' }),
      notification('notifications/progress', { progressToken: 'none', progress: 1 }),
      request(2, 'ping'),
      call(3, 'echo', { text: 'three' }),
    ]
    await using stream = await expectStream(await session.post(batch))
    await nodes.world.happened.until('started g')
    nodes.world.gates.open('g')
    const events = await stream.rest()
    const messages = events.map(({ data }) => JSON.parse(data) as { id: number })
    expect(new Set(messages.map(({ id }) => id))).toEqual(new Set([1, 2, 3]))
    expect(messages.find(({ id }) => id === 3)).toMatchObject({ result: { content: [{ text: 'three' }] } })
    for (const [index, { id }] of events.slice(0, -1).entries()) {
      await using resumed = await session.stream(id, { node: 1 })
      expect(await resumed.rest()).toEqual(events.slice(index + 1))
    }
  })

  test('of notifications and answers only: accepted', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes, { version })
    await using stream = await session.call('ask', { question: 'roots', related: true })
    const { message } = await stream.nextMessage()
    const answer = { jsonrpc: '2.0', id: (message as { id: string }).id, result: { roots: [] } }
    const response = await session.post([notification('notifications/roots/list_changed'), answer], {
      node: 1,
    })
    expect([response.status, await response.text()]).toEqual([202, ''])
    expect((await stream.messages()).map(textOf)).toEqual(['{"roots":[]}'])
  })

  test.each([0, 1])('a cancelled member, from node %i: the rest is answered', async (node) => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes, { version })
    const batch = [call(1, 'wait', { gate: 'a' }), call('1', 'wait', { gate: 'b' })]
    await using stream = await expectStream(await session.post(batch))
    await nodes.world.happened.until('started a')
    await nodes.world.happened.until('started b')
    await session.notify('notifications/cancelled', { requestId: 1 }, { node })
    await nodes.world.happened.until('aborted a')
    nodes.world.gates.open('b')
    expect(await stream.messages()).toMatchObject([{ id: '1' }])
  })

  test('all members cancelled, one after an answer: the stream ends', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes, { version })
    const batch = [
      call(1, 'wait', { gate: 'a' }),
      call(2, 'wait', { gate: 'b' }),
      call(3, 'echo', { text: 'c' }),
    ]
    await using stream = await expectStream(await session.post(batch))
    await nodes.world.happened.until('started a')
    await nodes.world.happened.until('started b')
    expect((await stream.nextMessage()).message).toMatchObject({ id: 3 })
    for (const requestId of [1, 2])
      await session.notify('notifications/cancelled', { requestId }, { node: 1 })
    expect(await stream.messages()).toEqual([])
    await nodes.world.happened.until('aborted b')
  })

  test('the same batch again attaches', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes, { version })
    const batch = [call(1, 'wait', { gate: 'a' }), call(2, 'wait', { gate: 'a' })]
    await using one = await expectStream(await session.post(batch))
    await using other = await expectStream(await session.post(batch, { node: 1 }))
    await nodes.world.happened.until('started a', 2)
    nodes.world.gates.open('a')
    expect(await other.rest()).toEqual(await one.rest())
    expect(nodes.world.happened.count('started a')).toBe(2)
  })

  const REFUSED: [string, unknown[]][] = [
    ['an empty batch', []],
    ['initialize in a batch', [request(1, 'initialize', {}), request(2, 'ping')]],
    ['the same id twice', [request(1, 'ping'), request(1, 'tools/list')]],
    ['a member that is no message', [request(1, 'ping'), 7]],
    ['too many members', Array.from({ length: 101 }, (_, id) => request(id, 'ping'))],
  ]
  test.each(REFUSED)('%s is refused', async (_name, batch) => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes, { version })
    await expectRefused(await session.post(batch), 400, -32600)
  })

  test.each([LATEST, '2025-06-18', '2024-11-05'])('there are none in %s', async (other) => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes, { version: other })
    await expectRefused(await session.post([request(1, 'ping')]), 400, -32600)
    await expectRefused(await session.post([notification('notifications/initialized')]), 400, -32600)
  })
})
