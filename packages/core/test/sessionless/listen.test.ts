import { describe, expect, test } from 'vitest'
import type { JsonRpcMessage } from '../../src/json-rpc.js'
import { Alone } from '../support/alone.js'
import { startNodes } from '../support/nodes.js'
import { expectRefused, expectStream } from '../support/session.js'
import { STORES } from '../support/stores.js'

const ID = 'io.modelcontextprotocol/subscriptionId'
const ALL = { toolsListChanged: true, resourceSubscriptions: ['test://r'] }
const start = (store: 'memory' | 'redis' = 'memory') =>
  startNodes({ store, settings: { eras: ['2025-11-25', '2026-07-28'] } })

const listen = async (client: Alone, notifications: unknown, where = {}) =>
  expectStream(await client.request('subscriptions/listen', { notifications }, { id: 'l', ...where }))

const methodOf = (message: JsonRpcMessage) => ('method' in message ? message.method : undefined)

describe.each(STORES)('listening without a session, %s', (store) => {
  test('is acknowledged first, and hears what changes on any node', async () => {
    await using nodes = await start(store)
    const client = new Alone(nodes)
    await nodes.mcp(1).changed.tools()
    await using stream = await listen(client, ALL)
    const acknowledged = await stream.nextMessage()
    expect(acknowledged.message).toMatchObject({
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: ALL, _meta: { [ID]: 'l' } },
    })
    await nodes.mcp(1).changed.prompts()
    await nodes.mcp(1).changed.resource('test://other')
    await nodes.mcp(1).changed.resource('test://r')
    await nodes.mcp(0).changed.tools()
    const heard = [await stream.nextMessage(), await stream.nextMessage()]
    expect(heard.map(({ message }) => message)).toMatchObject([
      { method: 'notifications/resources/updated', params: { uri: 'test://r', _meta: { [ID]: 'l' } } },
      { method: 'notifications/tools/list_changed', params: { _meta: { [ID]: 'l' } } },
    ])
  })

  test('is resumed on another node, where nothing was missed', async () => {
    await using nodes = await start(store)
    const client = new Alone(nodes)
    await using stream = await listen(client, ALL)
    const { id } = await stream.nextMessage()
    await nodes.mcp(0).close({ graceMs: 0 })
    await nodes.mcp(1).changed.tools()
    await using resumed = await client.stream(id, { node: 1 })
    expect(methodOf((await resumed.nextMessage()).message)).toBe('notifications/tools/list_changed')
  })
})

test('hears of changes that are told to all sessions', async () => {
  await using nodes = await start()
  await using stream = await listen(new Alone(nodes), ALL)
  await stream.nextMessage()
  expect(await nodes.mcp(1).broadcast({ method: 'notifications/tools/list_changed' })).toBe(0)
  expect(methodOf((await stream.nextMessage()).message)).toBe('notifications/tools/list_changed')
})

test('what changes for one caller, others do not hear', async () => {
  await using nodes = await start()
  const client = new Alone(nodes)
  const streams = [await listen(client, ALL, { who: 'ann/1' }), await listen(client, ALL, { who: 'bob/1' })]
  for (const stream of streams) await stream.nextMessage()
  await nodes.mcp(1).changed.resource('test://r', { principal: 'ann' })
  await nodes.mcp(1).changed.tools()
  const heard = await Promise.all(streams.map((stream) => stream.nextMessage()))
  expect(heard.map(({ message }) => methodOf(message))).toEqual([
    'notifications/resources/updated',
    'notifications/tools/list_changed',
  ])
  for (const stream of streams) await stream[Symbol.asyncDispose]()
})

test('without a filter it is refused', async () => {
  await using nodes = await start()
  await expectRefused(await new Alone(nodes).request('subscriptions/listen'), 400, -32602)
})

test('what one client wants to hear of is bounded', async () => {
  await using nodes = await start()
  const resourceSubscriptions = Array.from({ length: 2000 }, (_, n) => `test://${n}/${'x'.repeat(40)}`)
  const params = { notifications: { resourceSubscriptions } }
  await expectRefused(await new Alone(nodes).request('subscriptions/listen', params), 413)
})
