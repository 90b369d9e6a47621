import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createParser } from 'eventsource-parser'
import type { FetchLike } from '@mcp-durable/core/client'
import { callIdOf } from './observed-call.js'
import type { ObservedCall } from './observed-call.js'

type Message = {
  id?: string | number
  method?: string
  params?: { message?: string }
  result?: { content: { text?: string }[]; isError?: boolean }
  error?: { message: string }
}

export interface RawOptions {
  fetch: FetchLike
  url: URL
  answer: (question: string) => string
  /** After each event: whether to drop the connection, and from which of the events so far to resume. */
  drops?: (eventIds: readonly string[]) => string | undefined
}

const GIVE_UP_MS = 60_000
const REST_MS = 50
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
    const stopped = new AbortController()
    const timer = setTimeout(() => stopped.abort(), GIVE_UP_MS)
    const eventIds: string[] = []
    let cursor: string | undefined
    try {
      while (!call.outcome && !stopped.signal.aborted) {
        const dropped = new AbortController()
        const signal = AbortSignal.any([dropped.signal, stopped.signal])
        const response = await (cursor === undefined
          ? this.#post(request, signal, key)
          : this.#resume(cursor, signal))
        if (!response.ok || response.status === 204) throw new Error(`answered ${response.status}`)
        const next = await this.#follow(call, response, eventIds).catch(() => undefined)
        dropped.abort()
        cursor = next ?? eventIds.at(-1)
        if (!call.outcome && next === undefined) await sleep(REST_MS)
      }
    } catch (error) {
      call.outcome ??= { failure: String(error) }
    } finally {
      clearTimeout(timer)
    }
    call.outcome ??= { failure: 'no response in time' }
  }

  /** Reads one connection; resolves to the cursor to go on from if the client drops it. */
  async #follow(call: ObservedCall, response: Response, eventIds: string[]): Promise<string | undefined> {
    let next: string | undefined
    const parser = createParser({
      onEvent: ({ id, data }) => {
        if (id === undefined || next !== undefined) return
        if (!eventIds.includes(id)) eventIds.push(id)
        if (data !== '') this.#take(call, JSON.parse(data) as Message)
        const mine = eventIds.filter(
          (eventId) => callIdOf(eventId) === callIdOf(id) && !eventId.endsWith('.end'),
        )
        next = this.#options.drops?.(mine)
      },
    })
    const decoder = new TextDecoder()
    for await (const chunk of response.body ?? []) {
      parser.feed(decoder.decode(chunk, { stream: true }))
      if (next !== undefined) return next
    }
    return undefined
  }

  #take(call: ObservedCall, { id, method, params, result, error }: Message) {
    if (method === 'elicitation/create') {
      const question = params?.message ?? ''
      // It comes again whenever the client goes back behind it.
      if (call.answers.has(question)) return
      const answer = this.#options.answer(question)
      call.answers.set(question, answer)
      void this.#post({ id, result: { action: 'accept', content: { answer } } }).catch(() => undefined)
    }
    if (result) call.outcome ??= { text: result.content[0]?.text ?? '', isError: result.isError === true }
    if (error) call.outcome ??= { failure: error.message }
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
