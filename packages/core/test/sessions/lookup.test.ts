import { describe, expect, test } from 'vitest'
import { untilRemembered } from '../support/expect-stream.js'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { expectRefused, initialize, LATEST, Session } from '../support/session.js'
import { contentOf } from '../support/store-content.js'
import { waitFor } from '../../../../test-support/index.js'

const NOBODY = 'A'.repeat(22)

/** Every way to name a session. */
function uses(session: Session, where: Parameters<Session['get']>[1] = {}): Promise<Response>[] {
  return [
    session.request('tools/call', { name: 'echo', arguments: { text: '' } }, where),
    session.request('tools/list', undefined, where),
    session.request('logging/setLevel', { level: 'error' }, where),
    session.request('resources/subscribe', { uri: 'test://static' }, where),
    session.post({ jsonrpc: '2.0', method: 'notifications/roots/list_changed' }, where),
    session.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }, where),
    session.post({ jsonrpc: '2.0', id: `${NOBODY}.1`, result: {} }, where),
    session.get(undefined, where),
    session.get('out.0-0', where),
    session.delete(where),
  ]
}

async function expectAllRefused(responses: Promise<Response>[], status: number, code?: number) {
  for (const response of await Promise.all(responses)) await expectRefused(response, status, code)
}

const stranger = (nodes: Nodes, mcpSessionId: string) =>
  new Session(nodes, { mcpSessionId, version: LATEST, who: undefined })

describe.concurrent.each(SYSTEMS)('which session a request is for, $store, $host', ({ store, host }) => {
  test('[S-12] 400 when none is named', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await expectAllRefused(uses(session, { headers: { 'mcp-session-id': undefined } }), 400, -32000)
  })

  test.each([
    NOBODY,
    'short',
    '../../etc/passwd',
    'a b',
    `${NOBODY}, ${NOBODY}`,
    '{mcp}',
    'x'.repeat(10_000),
  ])('404 for an id that is none: %.30s', async (id) => {
    await using nodes = await startNodes({ store, host })
    await expectAllRefused(uses(stranger(nodes, id)), 404, -32001)
  })

  test('404 on every node once it was deleted', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await session.result('echo', { text: '' }, { node: 1 })
    expect((await session.delete({ node: 1 })).status).toBe(200)
    for (const node of [0, 1]) await expectAllRefused(uses(session, { node }), 404, -32001)
  })

  test('404 once it has expired', async () => {
    await using nodes = await startNodes({ store, host, settings: { sessionTtlMs: 100 } })
    // Only begun: it may be over before anything else could be said in it.
    const begun = await initialize(nodes)
    const session = stranger(nodes, begun.headers.get('mcp-session-id') ?? '')
    await waitFor(() => nodes.stores[0]?.readSession(session.id).then((found) => !found))
    for (const node of [0, 1]) await expectAllRefused(uses(session, { node }), 404, -32001)
  })

  test('every use of a session keeps it alive', async () => {
    await using nodes = await startNodes({ store, host, settings: { sessionTtlMs: 5000 } })
    const session = await Session.begin(nodes)
    const idle = await Session.begin(nodes)
    // The session that is not used sets the pace.
    for (let gone = false; !gone;) {
      expect(await session.result('echo', { text: 'alive' }, { node: 1 })).toBe('alive')
      gone = (await nodes.stores[0]?.readSession(idle.id)) === undefined
    }
    expect((await session.request('ping')).status).toBe(200)
    await expectRefused(await idle.request('ping'), 404, -32001)
  })

  test('an open stream and a running call keep a session alive', async () => {
    await using nodes = await startNodes({ store, host, settings: { sessionTtlMs: 5000 } })
    const streaming = await Session.begin(nodes)
    const calling = await Session.begin(nodes)
    await using stream = await streaming.stream(undefined, { node: 1 })
    await using call = await calling.call('wait', { gate: 'g' })
    for (let round = 0; round < 2; round++) {
      const idle = await Session.begin(nodes)
      await waitFor(() => nodes.stores[0]?.readSession(idle.id).then((found) => !found))
    }
    await nodes.mcp(0).notify(streaming.id, { method: 'notifications/tools/list_changed' })
    expect((await stream.nextMessage()).message).toMatchObject({ method: 'notifications/tools/list_changed' })
    nodes.world.gates.open('g')
    expect(await call.messages()).toHaveLength(1)
  })

  test('a session of another principal is not there, and nothing happens in it', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes, { who: 'alice/1' })
    await using stream = await session.stream()
    await session.result('tell', { count: 1 })
    await stream.nextMessage()
    await untilRemembered(nodes.stores[0], session, stream)
    const before = await contentOf(nodes.stores[0]!, [session.id])
    for (const who of ['bob/1', undefined, 'alic/e1']) {
      for (const node of [0, 1]) await expectAllRefused(uses(session, { node, who }), 404, -32001)
    }
    expect(await contentOf(nodes.stores[0]!, [session.id])).toEqual(before)
    expect(nodes.made.map(({ node }) => node)).toEqual([nodes.servers[0]])
    expect(await session.result('echo', { text: 'still here' }, { node: 1 })).toBe('still here')
  })

  test('a session without a principal is not there for one that has', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await expectAllRefused(uses(session, { who: 'bob/1' }), 404, -32001)
  })

  test('a new token of the same client keeps the session', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes, { who: 'alice/old' })
    const who = JSON.parse(await session.result('who', {}, { who: 'alice/new', node: 1 })) as object
    expect(who).toMatchObject({ authInfo: { clientId: 'alice', token: 'new' } })
  })

  test('a principal of the application’s own', async () => {
    const principal = (request: Request) => request.headers.get('x-user') ?? undefined
    await using nodes = await startNodes({ store, host, settings: { principal } })
    const response = await nodes.endpoint(0).fetch(await initializeInit({ 'x-user': 'ann' }))
    const id = response.headers.get('mcp-session-id') ?? ''
    const session = stranger(nodes, id)
    expect((await session.request('ping', undefined, { headers: { 'x-user': 'ann' }, node: 1 })).status).toBe(
      200,
    )
    await expectAllRefused(uses(session, { headers: { 'x-user': 'eve' } }), 404, -32001)
    await expectAllRefused(uses(session), 404, -32001)
    // A server behind HTTP is not told.
    expect(nodes.made[0]?.session?.principal).toBe(host === 'server' ? 'ann' : undefined)
  })

  test('initialize does not take a session id', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await expectRefused(await session.request('initialize', {}), 400, -32600)
    expect((await initialize(nodes)).headers.get('mcp-session-id')).not.toBe(session.mcpSessionId)
  })
})

async function initializeInit(headers: Record<string, string>): Promise<RequestInit> {
  const params = { protocolVersion: LATEST, capabilities: {}, clientInfo: { name: 'raw', version: '1' } }
  return {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
  }
}
