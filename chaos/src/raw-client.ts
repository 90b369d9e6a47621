import { randomUUID } from 'node:crypto'
import type { FetchLike } from '@mcp-durable/core/client'
import { followCall, takeOutcome } from './followed-call.js'
import type { Drops, RawMessage } from './followed-call.js'
import type { ObservedCall } from './observed-call.js'

export interface RawOptions {
  fetch: FetchLike
  url: URL
  answer: (question: string) => string | Promise<string>
  drops?: Drops
}

const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

/** A session spoken by hand: it goes where and resumes from where it likes. */
export class RawClient {
  readonly #options: RawOptions
  readonly #sessionId: string
  #nextId = 1

  private constructor(sessionId: string, options: RawOptions) {
    this.#sessionId = sessionId
    this.#options = options
  }

  static async connect(options: RawOptions): Promise<RawClient> {
    const clientInfo = { name: 'raw', version: '1' }
    const params = { protocolVersion: '2025-11-25', capabilities: { elicitation: {} }, clientInfo }
    const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
    const response = await options.fetch(options.url, { method: 'POST', headers: HEADERS, body })
    if (!response.ok) throw new Error(`initialize: ${response.status} ${await response.text()}`)
    await response.text()
    const client = new RawClient(response.headers.get('mcp-session-id') ?? '', options)
    await client.#post({ method: 'notifications/initialized' })
    return client
  }

  get sessionId() {
    return this.#sessionId
  }

  /** Calls the tool and follows its stream, over however many connections, until the response is there. */
  async call(call: ObservedCall): Promise<void> {
    const _meta = { progressToken: `progress of ${call.id}` }
    const params = { name: call.tool, arguments: call.args, _meta }
    const request = { id: this.#nextId++, method: 'tools/call', params }
    // A stream that breaks before its first event leaves no cursor: the POST is sent again, and means the same call.
    const key = { 'idempotency-key': randomUUID() }
    const speech = {
      send: (cursor: string | undefined, signal: AbortSignal) =>
        cursor === undefined ? this.#post(request, signal, key) : this.#resume(cursor, signal),
      take: (message: RawMessage) => this.#take(call, message),
    }
    await followCall(call, speech, this.#options)
  }

  async #take(call: ObservedCall, message: RawMessage): Promise<boolean> {
    const { id, method, params } = message
    if (method === 'elicitation/create') {
      const question = params?.message ?? ''
      // It comes again whenever the client goes back behind it.
      if (call.answers.has(question)) return false
      const answer = await this.#options.answer(question)
      call.answers.set(question, answer)
      void this.#post({ id, result: { action: 'accept', content: { answer } } }).catch(() => undefined)
    }
    takeOutcome(call, message)
    return false
  }

  #post(message: object, signal: AbortSignal | null = null, key: Record<string, string> = {}) {
    const headers = { ...HEADERS, ...key, ...(this.#sessionId && { 'mcp-session-id': this.#sessionId }) }
    const body = JSON.stringify({ jsonrpc: '2.0', ...message })
    return this.#options.fetch(this.#options.url, { method: 'POST', headers, body, signal })
  }

  #resume(cursor: string, signal: AbortSignal) {
    const headers = { ...HEADERS, 'mcp-session-id': this.#sessionId, 'last-event-id': cursor }
    return this.#options.fetch(this.#options.url, { headers, signal })
  }
}
