import { describe, expect, test } from 'vitest'
import { startNodes } from '../support/nodes.js'
import { expectJson, expectRefused, expectStream, LATEST, Session } from '../support/session.js'
import { contentOf } from '../support/store-content.js'
import { initialize } from '../support/session.js'
import { waitFor } from '../../../../test-support/index.js'

const POST = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const request = (rest: string) => `{"jsonrpc":"2.0","id":1,"method":"ping",${rest}}`
const DEEP = 200_000

const PARSE_ERRORS = ['', '{', 'nonsense', '{"jsonrpc":', '"\\uD800', "{'a':1}", '\u0000', '{"id":01}']
const INVALID = [
  '1',
  'null',
  'true',
  '"text"',
  '{}',
  '[1]',
  '[[]]',
  nested(DEEP),
  '{"jsonrpc":"1.0","id":1,"method":"ping"}',
  '{"id":1,"method":"ping"}',
  '{"jsonrpc":"2.0","id":1}',
  '{"jsonrpc":"2.0","id":null,"method":"ping"}',
  '{"jsonrpc":"2.0","id":1.5,"method":"ping"}',
  '{"jsonrpc":"2.0","id":1e400,"method":"ping"}',
  '{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}',
  '{"jsonrpc":"2.0","id":{},"method":"ping"}',
  '{"jsonrpc":"2.0","id":[1],"method":"ping"}',
  '{"jsonrpc":"2.0","id":1,"method":1}',
  request('"params":[]'),
  request('"params":"x"'),
  request('"params":null'),
  request('"params":{"_meta":1}'),
  request('"result":{}'),
  '{"jsonrpc":"2.0","id":1,"result":1}',
  '{"jsonrpc":"2.0","id":1,"error":{}}',
  '{"jsonrpc":"2.0","id":1,"error":{"code":"x","message":"y"}}',
  '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"y"}}',
]

describe('bodies that are no messages', () => {
  test.each(PARSE_ERRORS)('[G-7] %s: -32700', async (body) => {
    await using nodes = await startNodes({ count: 1 })
    const session = await Session.begin(nodes)
    const refused = await expectRefused(await session.send('POST', body, {}, POST), 400, -32700)
    expect(refused.id).toBeNull()
  })

  test.each(INVALID.map((body) => [body.slice(0, 70), body]))(
    '[G-7] [B-1] %s: -32600',
    async (_name, body) => {
      await using nodes = await startNodes({ count: 1 })
      const session = await Session.begin(nodes, { version: '2025-03-26' })
      const before = await contentOf(nodes.stores[0]!)
      await expectRefused(await session.send('POST', body, {}, POST), 400, -32600)
      expect(await contentOf(nodes.stores[0]!)).toEqual(before)
    },
  )

  test('bytes that are no UTF-8 do no harm', async () => {
    await using nodes = await startNodes({ count: 1, adapter: 'node' })
    const session = await Session.begin(nodes)
    const headers = { ...POST, 'mcp-session-id': session.mcpSessionId }
    const body = Buffer.from([0x7b, 0xff, 0xfe, 0x7d])
    await expectRefused(await nodes.endpoint(0).fetch({ method: 'POST', headers, body }), 400, -32700)
  })
})

// What the guard lets pass must be answered by the SDK; it silently ignores what it takes for no message.
const ODD_TO = [
  { host: 'server', sdk: 'v1' },
  { host: 'server', sdk: 'v2' },
  { host: 'handler', sdk: 'v1' },
  { host: 'upstream', sdk: 'v2' },
] as const

describe.each(ODD_TO)(
  'odd requests are answered or refused, never left hanging: $host, $sdk',
  ({ host, sdk }) => {
    const ODD = [
      request('"extra":1'),
      request('"params":{"_meta":{"progressToken":{}}}'),
      request('"params":{"_meta":{"progressToken":null}}'),
      request('"params":{"_meta":{"progressToken":1.5}}'),
      request('"params":{"_meta":{"io.modelcontextprotocol/related-task":1}}'),
      request('"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}'),
      '{"jsonrpc":"2.0","id":1,"method":""}',
      '{"jsonrpc":"2.0","id":1,"method":"__proto__"}',
      '{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","extra":1,"params":{"name":"echo","arguments":{"text":""}}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":""},"_meta":{"progressToken":{}}}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","task":{"ttl":1}}}',
      '{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":{"toString":1}}}',
      '{"jsonrpc":"2.0","id":1,"method":"resources/unsubscribe","params":{"uri":{"toString":1}}}',
      '{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":1}}',
      '{"jsonrpc":"2.0","id":1,"method":"resources/subscribe"}',
      '{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"loud"}}',
      '{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}',
      '{"jsonrpc":"2.0","id":1,"method":"notifications/cancelled","params":{"requestId":1}}',
      `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"deep":${nested(DEEP)}}}`,
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"","deep":${nested(DEEP)}}}}`,
    ]
    test.each(ODD.map((body) => [body.slice(0, 120), body]))('%s', async (_name, body) => {
      await using nodes = await startNodes({ count: 1, host, sdk })
      const session = await Session.begin(nodes)
      const response = await session.send('POST', body, {}, POST)
      // What claims to be of the version without sessions is refused as such.
      const code = body.includes('2026-07-28') ? -32602 : -32600
      if (response.status === 400) await expectRefused(response, 400, code)
      else if (response.headers.get('content-type') === 'application/json') {
        expect(await expectJson(response)).toMatchObject({ id: 1 })
      } else {
        expect(await (await expectStream(response)).messages()).toMatchObject([{ id: 1 }])
      }
      expect((await session.request('ping')).status).toBe(200)
    })

    test.each([
      { jsonrpc: '2.0', id: 1, method: 'initialize' },
      { jsonrpc: '2.0', id: 1, method: 'initialize', params: {} },
      { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: 1 } },
      { jsonrpc: '2.0', id: 1, method: 'initialize', extra: 1, params: INIT() },
      { jsonrpc: '2.0', id: 1, method: 'initialize', params: { ...INIT(), _meta: { progressToken: {} } } },
    ])('initialize: %j', async (body) => {
      await using nodes = await startNodes({ count: 1, host, sdk })
      const response = await nodes
        .endpoint(0)
        .fetch({ method: 'POST', headers: POST, body: JSON.stringify(body) })
      expect([200, 400]).toContain(response.status)
      expect(await response.json()).toHaveProperty('error')
      expect(response.headers.get('mcp-session-id')).toBeNull()
      expect(await contentOf(nodes.stores[0]!)).toEqual([])
    })

    test.each([
      { method: 'notifications/cancelled' },
      { method: 'notifications/cancelled', params: {} },
      { method: 'notifications/cancelled', params: { requestId: null } },
      { method: 'notifications/cancelled', params: { requestId: {} } },
      { method: 'notifications/cancelled', params: { requestId: 'unknown', reason: {} } },
      { method: 'notifications/progress' },
      { method: 'notifications/progress', params: { progressToken: {} } },
      { method: 'notifications/unknown', params: { _meta: { progressToken: {} } } },
      { method: 'notifications/roots/list_changed', params: { uri: 1 } },
      { method: 'tools/call', params: { name: 'echo', arguments: { text: '' } } },
      { method: '' },
    ])('notification %j: taken or refused, and the session goes on', async (notification) => {
      await using nodes = await startNodes({ host, sdk })
      const session = await Session.begin(nodes)
      const response = await session.post({ jsonrpc: '2.0', ...notification })
      expect([202, 400]).toContain(response.status)
      for (const node of [0, 1]) expect((await session.request('ping', undefined, { node })).status).toBe(200)
    })

    // As notifications these do nothing; stored, they would replace what the requests of that name have set.
    test.each([
      { method: 'initialize', params: {} },
      { method: 'logging/setLevel', params: { level: 'debug' } },
      { method: 'resources/unsubscribe', params: { uri: 'test://static' } },
    ])('a request without an id changes nothing: %j', async (notification) => {
      await using nodes = await startNodes({ host, sdk })
      const session = await Session.begin(nodes)
      await session.request('logging/setLevel', { level: 'error' })
      await session.request('resources/subscribe', { uri: 'test://static' })
      await session.post({ jsonrpc: '2.0', ...notification })
      await using stream = await session.stream()
      expect(await session.result('touch', { uri: 'test://static' }, { node: 1 })).toBe('updated')
      for (const level of ['info', 'error']) await session.result('log', { level }, { node: 1 })
      const [updated, logged] = [await stream.nextMessage(), await stream.nextMessage()]
      expect(updated.message).toMatchObject({ params: { uri: 'test://static' } })
      expect(logged.message).toMatchObject({ params: { data: 'log error' } })
      await using asking = await session.call('ask', { question: 'roots', related: true }, { node: 1 })
      expect((await asking.nextMessage()).message).toMatchObject({ method: 'roots/list' })
      if (host === 'server')
        expect(nodes.made.map((made) => made.session?.clientInfo?.name)).toEqual(['raw', 'raw'])
    })
  },
)

test('an answer to nothing is dropped', async () => {
  await using nodes = await startNodes()
  const session = await Session.begin(nodes)
  const before = await contentOf(nodes.stores[0]!)
  for (const id of [1, 'x', `${'A'.repeat(22)}.1`, session.id, `${session.id}.1`]) {
    for (const rest of [{ result: {} }, { error: { code: 1, message: 'no' } }]) {
      expect((await session.post({ jsonrpc: '2.0', id, ...rest }, { node: 1 })).status).toBe(202)
    }
  }
  expect((await session.post({ jsonrpc: '2.0', error: { code: 1, message: 'no' } })).status).toBe(202)
  expect(await contentOf(nodes.stores[0]!)).toEqual(before)
})

test('an unknown protocol version is negotiated to one that is known', async () => {
  await using nodes = await startNodes()
  const response = await initialize(nodes, { version: '2099-01-01' })
  expect(await expectJson(response)).toMatchObject({ result: { protocolVersion: LATEST } })
  await waitFor(() => nodes.made.length === 1)
})

function INIT() {
  return { protocolVersion: LATEST, capabilities: {}, clientInfo: { name: 'raw', version: '1' } }
}
