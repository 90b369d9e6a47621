import { createParser } from 'eventsource-parser'
import type { JsonRpcMessage } from '../../src/json-rpc.js'
import { within } from './within.js'

export type SseEvent = { id?: string | undefined; event?: string | undefined; data: string }

/** Reads one SSE response as it comes. */
export class EventReader implements AsyncDisposable {
  /** Every event so far, read by the test or not. */
  readonly seen: SseEvent[] = []
  retry: number | undefined
  comments = 0
  readonly response: Response
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  readonly #ended: Promise<void>
  #next = 0
  #over = false
  #broken: Error | undefined
  #changed: () => void = () => undefined

  constructor(response: Response) {
    this.response = response
    this.#reader = response.body?.getReader()
    this.#ended = this.#pump()
  }

  /** The next event, or `undefined` when the server ends the stream; throws when the connection breaks. */
  async next(): Promise<SseEvent | undefined> {
    await within(
      this.#until(() => this.seen.length > this.#next || this.#over),
      'an event',
    )
    const event = this.seen[this.#next]
    if (event) this.#next++
    else if (this.#broken) throw this.#broken
    return event
  }

  /** The next event that carries a message. */
  async nextMessage(): Promise<{ id: string | undefined; message: JsonRpcMessage }> {
    for (;;) {
      const event = await this.next()
      if (!event) throw new Error('the stream ended before a message')
      if (event.data !== '') return { id: event.id, message: JSON.parse(event.data) as JsonRpcMessage }
    }
  }

  /** What follows, to the end of the stream. */
  async rest(): Promise<SseEvent[]> {
    const events: SseEvent[] = []
    for (;;) {
      const event = await this.next()
      if (!event) return events
      events.push(event)
    }
  }

  /** Messages that follow, to the end of the stream. */
  async messages(): Promise<JsonRpcMessage[]> {
    return messagesOf(await this.rest())
  }

  async untilComments(count: number) {
    await within(
      this.#until(() => this.comments >= count),
      `${count} comments`,
    )
  }

  /** Drops the connection, as a client that loses its network. */
  async [Symbol.asyncDispose]() {
    await this.#reader?.cancel().catch(() => undefined)
    await this.#ended
  }

  async #pump() {
    const decoder = new TextDecoder()
    const parser = createParser({
      onEvent: (event) => void this.seen.push(event),
      onRetry: (retry) => (this.retry = retry),
      onComment: () => this.comments++,
    })
    try {
      for (;;) {
        const { value, done } = (await this.#reader?.read()) ?? { value: undefined, done: true }
        if (done) break
        parser.feed(decoder.decode(value, { stream: true }))
        this.#changed()
      }
    } catch (error) {
      this.#broken = error as Error
    }
    this.#over = true
    this.#changed()
  }

  async #until(condition: () => boolean) {
    while (!condition()) await new Promise<void>((resolve) => (this.#changed = resolve))
  }
}

export const messagesOf = (events: readonly SseEvent[]) =>
  events.filter(({ data }) => data !== '').map(({ data }) => JSON.parse(data) as JsonRpcMessage)
