import { sessionIdOf } from '@mcp-durable/core'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { Log } from './log.js'
import type { Backend } from './router.js'

export type RawEvent = { id: string | undefined; data: string }
export type JsonRpc = {
  id?: string | number | null
  method?: string
  result?: unknown
  error?: { code: number; message: string }
}

/** An SSE connection, event by event. */
export class RawStream {
  readonly events = new Log<RawEvent>('events of a stream')
  readonly status: number
  /** Resolves when the stream has ended: gracefully, or broken off. */
  readonly ended: Promise<'graceful' | 'broken'>
  readonly #abort: AbortController

  constructor(response: Response, abort: AbortController) {
    this.status = response.status
    this.#abort = abort
    this.ended = this.#read(response.body)
  }

  get ids(): (string | undefined)[] {
    return this.events.items.map(({ id }) => id)
  }

  /** Messages so far; priming events have none. */
  get messages(): JsonRpc[] {
    return this.events.items.filter(({ data }) => data !== '').map(({ data }) => JSON.parse(data) as JsonRpc)
  }

  close() {
    this.#abort.abort()
  }

  async #read(body: Response['body']): Promise<'graceful' | 'broken'> {
    try {
      const events = body?.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
      for await (const { id, data } of events ?? []) this.events.push({ id, data })
      return 'graceful'
    } catch {
      return 'broken'
    }
  }
}

/** A session spoken by hand, for what no official client does. */
export class RawSession {
  readonly id: string
  /** Sent with every request when it is set. */
  token: string | undefined
  #nextId = 1

  constructor(id: string, token?: string) {
    this.id = id
    this.token = token
  }

  /** What nodes and the store know it by. */
  get storedId() {
    return sessionIdOf(this.id)
  }

  static async begin(
    node: Backend,
    protocolVersion = '2025-11-25',
    capabilities: object = {},
  ): Promise<RawSession> {
    const params = { protocolVersion, capabilities, clientInfo: { name: 'raw', version: '1' } }
    const request = { jsonrpc: '2.0', id: 0, method: 'initialize', params }
    const response = await fetch(`${node.url}/mcp`, {
      method: 'POST',
      headers,
      body: JSON.stringify(request),
    })
    if (!response.ok) throw new Error(`initialize: ${response.status} ${await response.text()}`)
    await response.text()
    const session = new RawSession(response.headers.get('mcp-session-id') ?? '')
    await session.post(node, { method: 'notifications/initialized' })
    return session
  }

  post(node: Backend, message: object, signal?: AbortSignal): Promise<Response> {
    return fetch(`${node.url}/mcp`, {
      method: 'POST',
      headers: { ...headers, ...this.#own },
      body: JSON.stringify({ jsonrpc: '2.0', ...message }),
      ...(signal && { signal }),
    })
  }

  /** Sends a tools/call; its answer as a stream. */
  async call(node: Backend, name: string, args: object = {}, id: string | number = this.#nextId++) {
    const abort = new AbortController()
    const message = { id, method: 'tools/call', params: { name, arguments: args } }
    return new RawStream(await this.post(node, message, abort.signal), abort)
  }

  /** Resolves when the node has read what came before: that another connection was closed, for one. */
  async heardBy(node: Backend): Promise<void> {
    await (
      await this.call(node, 'which_node')
    ).ended
  }

  async get(node: Backend, lastEventId?: string): Promise<RawStream> {
    const abort = new AbortController()
    const response = await fetch(`${node.url}/mcp`, {
      headers: {
        accept: 'text/event-stream',
        ...this.#own,
        ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
      },
      signal: abort.signal,
    })
    return new RawStream(response, abort)
  }

  get #own(): Record<string, string> {
    return {
      'mcp-session-id': this.id,
      ...(this.token !== undefined && { authorization: `Bearer ${this.token}` }),
    }
  }

  delete(node: Backend): Promise<Response> {
    return fetch(`${node.url}/mcp`, { method: 'DELETE', headers: this.#own })
  }
}

const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
