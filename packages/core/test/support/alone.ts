import { META, SESSIONLESS } from '../../src/protocol.js'
import type { Nodes } from './nodes.js'
import { BOTH, expectStream, headersOf } from './session.js'
import { within } from './within.js'

export type AloneWhere = {
  node?: number
  /** `<client id>/<token>`. */
  who?: string
  id?: string | number
  meta?: Record<string, unknown>
  /** More params. */
  more?: Record<string, unknown>
  /** `undefined` leaves one out. */
  headers?: Record<string, string | undefined>
  signal?: AbortSignal
}

const NAMED: Record<string, string> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
}

/** A client made of bare HTTP requests, in the version without sessions. */
export class Alone {
  readonly #nodes: Nodes
  #lastId = 0

  constructor(nodes: Nodes) {
    this.#nodes = nodes
  }

  /** `body`: a text is sent as it is. */
  send(method: string, body: unknown, { node = 0, who, headers, signal }: AloneWhere = {}) {
    const all = headersOf({
      'mcp-protocol-version': SESSIONLESS,
      authorization: who === undefined ? undefined : `Bearer ${who}`,
      ...headers,
    })
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const init = { method, headers: all, ...(text !== undefined && { body: text }) }
    const response = this.#nodes.endpoint(node).fetch({ ...init, ...(signal && { signal }) })
    return within(response, `the answer to ${method}`)
  }

  /** The request as an official client would send it. */
  request(method: string, params: Record<string, unknown> = {}, where: AloneWhere = {}) {
    const { id = ++this.#lastId, meta, headers } = where
    const _meta = {
      [META.protocolVersion]: SESSIONLESS,
      [META.clientCapabilities]: {},
      [META.clientInfo]: { name: 'raw', version: '1' },
      ...meta,
    }
    const named = params[NAMED[method] ?? '']
    const own = {
      'content-type': 'application/json',
      accept: BOTH,
      'mcp-method': method,
      'mcp-name': typeof named === 'string' ? named : undefined,
    }
    const body = { jsonrpc: '2.0', id, method, params: { ...params, _meta } }
    return this.send('POST', body, { ...where, headers: { ...own, ...headers } })
  }

  async call(name: string, args: Record<string, unknown> = {}, where: AloneWhere = {}) {
    return expectStream(await this.request('tools/call', { name, arguments: args, ...where.more }, where))
  }

  get(lastEventId: string | undefined, where: AloneWhere = {}) {
    const headers = { accept: 'text/event-stream', 'last-event-id': lastEventId, ...where.headers }
    return this.send('GET', undefined, { ...where, headers })
  }

  async stream(lastEventId: string | undefined, where: AloneWhere = {}) {
    return expectStream(await this.get(lastEventId, where))
  }
}
