import { expect } from 'vitest'
import { sessionIdOf } from '../../src/ids.js'
import type { JsonRpcMessage, RequestId } from '../../src/json-rpc.js'
import { EventReader } from './event-reader.js'
import type { Nodes } from './nodes.js'
import { within } from './within.js'

export const LATEST = '2025-11-25'
export const BOTH = 'application/json, text/event-stream'

export type Where = {
  node?: number
  /** `<client id>/<token>`; default: whoever began the session. */
  who?: string | undefined
  /** `undefined` leaves one out. */
  headers?: Record<string, string | undefined>
  signal?: AbortSignal
}
type Known = { mcpSessionId: string; version: string; who: string | undefined }
export type Begin = { version?: string; node?: number; who?: string; capabilities?: Record<string, unknown> }

/** A client made of bare HTTP requests: one session, any node. */
export class Session {
  #lastId = 100
  readonly nodes: Nodes
  /** What the client sends as `Mcp-Session-Id`. */
  readonly mcpSessionId: string
  /** What handlers and the store know it by. */
  readonly id: string
  readonly version: string
  readonly who: string | undefined

  constructor(nodes: Nodes, { mcpSessionId, version, who }: Known) {
    this.nodes = nodes
    this.mcpSessionId = mcpSessionId
    this.id = sessionIdOf(mcpSessionId)
    this.version = version
    this.who = who
  }

  /** Initializes a session at a node, `notifications/initialized` included. */
  static async begin(nodes: Nodes, options: Begin = {}): Promise<Session> {
    const { version = LATEST, who, node = 0 } = options
    const response = await initialize(nodes, options)
    expect(response.status).toBe(200)
    const mcpSessionId = response.headers.get('mcp-session-id') ?? ''
    expect(mcpSessionId).toMatch(/^[\w-]{22}$/)
    await response.body?.cancel()
    const session = new Session(nodes, { mcpSessionId, version, who })
    await session.notify('notifications/initialized', undefined, { node })
    return session
  }

  send(method: string, body: string | undefined, where: Where = {}, more: Where['headers'] = {}) {
    const headers = headersOf({
      'mcp-session-id': this.mcpSessionId,
      'mcp-protocol-version': this.version,
      authorization: 'who' in where ? bearer(where.who) : bearer(this.who),
      ...more,
      ...where.headers,
    })
    return fetchFrom(this.nodes, where, { method, headers, ...(body !== undefined && { body }) })
  }

  post(body: unknown, where: Where = {}) {
    return this.send('POST', JSON.stringify(body), where, POST_HEADERS)
  }

  nextId() {
    return ++this.#lastId
  }

  request(method: string, params?: unknown, where: Where & { id?: RequestId } = {}) {
    const { id = this.nextId() } = where
    return this.post({ jsonrpc: '2.0', id, method, ...(params !== undefined && { params }) }, where)
  }

  /** Sends a notification and expects that it is accepted. */
  async notify(method: string, params?: unknown, where: Where = {}) {
    const response = await this.post(
      { jsonrpc: '2.0', method, ...(params !== undefined && { params }) },
      where,
    )
    expect(response.status, await response.clone().text()).toBe(202)
    await response.body?.cancel()
  }

  /** Answers a question of the server. */
  async answer(id: RequestId | undefined, result: Record<string, unknown>, where: Where = {}) {
    const response = await this.post({ jsonrpc: '2.0', id, result }, where)
    expect(response.status).toBe(202)
    await response.body?.cancel()
  }

  async call(name: string, args: Record<string, unknown> = {}, where: Where & CallWhere = {}) {
    const { token, ...rest } = where
    const params = { name, arguments: args, ...(token !== undefined && { _meta: { progressToken: token } }) }
    return expectStream(await this.request('tools/call', params, rest))
  }

  /** Calls a tool, and resolves to its text when the stream has ended. */
  async result(name: string, args: Record<string, unknown> = {}, where: Where & CallWhere = {}) {
    return textOf((await (await this.call(name, args, where)).messages()).at(-1))
  }

  get(lastEventId?: string, where: Where = {}) {
    const headers = { accept: 'text/event-stream', 'last-event-id': lastEventId }
    return this.send('GET', undefined, where, headers)
  }

  /** Opens a stream, and expects that it opens. */
  async stream(lastEventId?: string, where: Where = {}) {
    return expectStream(await this.get(lastEventId, where))
  }

  delete(where: Where = {}) {
    return this.send('DELETE', undefined, where)
  }
}

type CallWhere = { id?: RequestId; token?: string | number }

const POST_HEADERS = { 'content-type': 'application/json', accept: BOTH }
const bearer = (who: string | undefined) => (who === undefined ? undefined : `Bearer ${who}`)

export const headersOf = (headers: Record<string, string | undefined>) =>
  Object.fromEntries(
    Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )

export function initialize(nodes: Nodes, { version = LATEST, node = 0, who, capabilities }: Begin = {}) {
  const all = { elicitation: {}, sampling: {}, roots: { listChanged: true } }
  const params = {
    protocolVersion: version,
    capabilities: capabilities ?? all,
    clientInfo: { name: 'raw', version: '1' },
  }
  return fetchFrom(
    nodes,
    { node },
    {
      method: 'POST',
      headers: headersOf({ ...POST_HEADERS, authorization: bearer(who) }),
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
    },
  )
}

function fetchFrom(nodes: Nodes, { node = 0, signal }: Where, init: RequestInit) {
  const response = nodes.endpoint(node).fetch({ ...init, ...(signal && { signal }) })
  return within(response, `the answer to ${init.method}`)
}

export async function expectStream(response: Response): Promise<EventReader> {
  const type = response.headers.get('content-type')
  if (response.status !== 200 || type !== 'text/event-stream')
    throw new Error(`no stream: ${response.status} ${type} ${await response.text()}`)
  return new EventReader(response)
}

/** Expects a refusal: status, JSON-RPC error code, and no session header of a session that it does not concern. */
export async function expectRefused(response: Response, status: number, code?: number) {
  const text = await response.text()
  expect(response.status, text).toBe(status)
  expect(response.headers.get('content-type')).toBe('application/json')
  const body = JSON.parse(text) as { jsonrpc: string; id: unknown; error: { code: number; message: string } }
  expect(body.jsonrpc).toBe('2.0')
  expect(body.error.message).toBeTypeOf('string')
  if (code !== undefined) expect(body.error.code).toBe(code)
  else expect(body.error.code).toBeTypeOf('number')
  return body
}

export async function expectJson<T = Record<string, unknown>>(response: Response, status = 200): Promise<T> {
  const text = await response.text()
  expect(response.status, text).toBe(status)
  expect(response.headers.get('content-type'), text).toBe('application/json')
  return JSON.parse(text) as T
}

/** The text of a tool's result; the message itself where it is no such thing. */
export function textOf(message: JsonRpcMessage | undefined): string {
  const { result } = (message ?? {}) as { result?: { content?: { text?: string }[] } }
  return result?.content?.[0]?.text ?? JSON.stringify(message)
}

/** What a log message says. */
export const dataOf = (message: JsonRpcMessage) =>
  'method' in message && message.method === 'notifications/message' ? message.params?.['data'] : undefined
