import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { durable, sessionIdOf } from '../../src/index.js'
import type { Durable, Store } from '../../src/index.js'
import { BOTH } from './session.js'

// What clients ask of a session, at any node.

export type Headers = Record<string, string>

export function send(mcp: Durable, method: string, body: object | undefined, headers: Headers) {
  const all = { 'content-type': 'application/json', accept: BOTH, ...headers }
  const sent = body && { body: JSON.stringify({ jsonrpc: '2.0', ...body }) }
  return mcp.fetch(new Request('http://localhost/mcp', { method, headers: all, ...sent }))
}

/** Another server is at the same store object, as in an application that has several. */
export function beside(store: Store, mcp: Durable): Durable {
  const nothing = () => undefined
  const logger = { error: nothing, warn: nothing, info: nothing, debug: nothing }
  const other = durable({ store, logger, server: () => new McpServer({ name: 'beside', version: '1' }) })
  const close = mcp.close.bind(mcp)
  return Object.assign(mcp, {
    close: async (options?: { graceMs?: number }) => {
      await close(options)
      await other.close(options)
    },
  })
}

export const post = (mcp: Durable, body: object, session: Headers = {}) => send(mcp, 'POST', body, session)

export async function begin(mcp: Durable, headers: Headers = {}): Promise<Headers> {
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'c', version: '1' },
  }
  const begun = await post(mcp, { id: 0, method: 'initialize', params }, headers)
  return { ...headers, 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
}

export const CALL = { id: 1, method: 'tools/call', params: { name: 'work', arguments: {} } }
export const PING = { id: 2, method: 'ping' }
export const CHANGED = { method: 'notifications/tools/list_changed' }
export const storedId = (session: Headers) => sessionIdOf(session['mcp-session-id'] ?? '')

/** Opens a call, and lets go of its stream when it has its first event: resolves to the id of that. */
export async function openCall(mcp: Durable, session: Headers) {
  const reader = (await post(mcp, CALL, session)).body!.pipeThrough(new TextDecoderStream()).getReader()
  const [, id = ''] = /^id: (\S+)$/m.exec((await reader.read()).value ?? '') ?? []
  await reader.cancel()
  return id
}

export const resume = async (mcp: Durable, session: Headers, id: string) =>
  (await send(mcp, 'GET', undefined, { ...session, 'last-event-id': id })).text()

/** Whatever a client may ask of a session, and what its own server answers. */
export const ASKED: Array<
  [what: string, status: number, ask: (mcp: Durable, session: Headers) => Promise<Response>]
> = [
  ['a call', 200, (mcp, session) => post(mcp, CALL, session)],
  ['another request', 200, (mcp, session) => post(mcp, PING, session)],
  ['a notification', 202, (mcp, session) => post(mcp, { method: 'notifications/initialized' }, session)],
  ['an answer', 202, (mcp, session) => post(mcp, { id: 'q', result: {} }, session)],
  ['a level', 200, (mcp, session) => post(mcp, LEVEL, session)],
  ['a stream', 200, (mcp, session) => send(mcp, 'GET', undefined, session)],
  ['its end', 200, (mcp, session) => send(mcp, 'DELETE', undefined, session)],
]
const LEVEL = { id: 3, method: 'logging/setLevel', params: { level: 'error' } }
