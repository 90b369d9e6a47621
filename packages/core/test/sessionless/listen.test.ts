import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { durable } from '../../src/index.js'
import type { JsonRpcMessage } from '../../src/json-rpc.js'
import { META, SESSIONLESS } from '../../src/protocol.js'
import { Alone } from '../support/alone.js'
import { startNodes } from '../support/nodes.js'
import { BOTH, expectRefused, expectStream } from '../support/session.js'
import { STORES } from '../support/stores.js'
import type { StoreKind } from '../support/stores.js'

const ID = 'io.modelcontextprotocol/subscriptionId'
const ALL = { toolsListChanged: true, resourceSubscriptions: ['test://r'] }
const start = (store: StoreKind = 'memory') =>
  startNodes({ store, settings: { eras: ['2025-11-25', '2026-07-28'] } })

const listen = async (client: Alone, notifications: unknown, where = {}) =>
  expectStream(await client.request('subscriptions/listen', { notifications }, { id: 'l', ...where }))

const nothing = () => undefined
const SILENT = { debug: nothing, info: nothing, warn: nothing, error: nothing }

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

test('no caller takes the streams of the others', async () => {
  await using nodes = await startNodes({ count: 1, settings: { eras: ['2026-07-28'], maxOpenStreams: 2 } })
  const client = new Alone(nodes)
  const first = await listen(client, ALL, { who: 'ann/1' })
  await using second = await listen(client, ALL, { who: 'ann/2' })
  const params = { notifications: ALL }
  await expectRefused(await client.request('subscriptions/listen', params, { who: 'ann/3' }), 429)
  const { id } = await second.nextMessage()
  await expectRefused(await client.get(id, { who: 'ann/3' }), 429)
  for (const who of ['bob/1', undefined]) {
    await using other = await listen(client, ALL, { ...(who !== undefined && { who }) })
    await other.nextMessage()
  }
  await first[Symbol.asyncDispose]()
  await using again = await listen(client, ALL, { who: 'ann/3' })
  await again.nextMessage()
})

test('ends with its result when the node leaves and nobody can go on', async () => {
  await using nodes = await start()
  const client = new Alone(nodes)
  const uris = Array.from({ length: 200 }, (_, number) => `test://${number}`)
  await using long = await listen(client, { resourceSubscriptions: uris })
  await using short = await listen(client, ALL)
  for (const stream of [long, short]) await stream.nextMessage()
  await nodes.mcp(0).close({ graceMs: 0 })
  expect((await long.nextMessage()).message).toEqual({
    jsonrpc: '2.0',
    id: 'l',
    result: { resultType: 'complete', _meta: { [ID]: 'l' } },
  })
  expect(await long.next()).toBeUndefined()
  // Another node goes on with this one, so it is not over.
  expect(await short.next()).toBeUndefined()
})

test('ends with its result when the only process leaves', async () => {
  const server = () => {
    const made = new McpServer(
      { name: 'alone', version: '1.0.0' },
      { capabilities: { tools: { listChanged: true } } },
    )
    made.registerTool('t', {}, () => ({ content: [] }))
    return made
  }
  const mcp = durable({ server, logger: SILENT })
  const _meta = { [META.protocolVersion]: SESSIONLESS, [META.clientCapabilities]: {} }
  const params = { notifications: { toolsListChanged: true }, _meta }
  const headers = {
    'content-type': 'application/json',
    accept: BOTH,
    'mcp-protocol-version': SESSIONLESS,
    'mcp-method': 'subscriptions/listen',
  }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 'l', method: 'subscriptions/listen', params })
  const response = await mcp.fetch(new Request('http://127.0.0.1/mcp', { method: 'POST', headers, body }))
  expect(response.status).toBe(200)
  await mcp.close()
  expect(await response.text()).toContain('"result":{"resultType":"complete"')
})
