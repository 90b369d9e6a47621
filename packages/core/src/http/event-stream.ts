import type { Store, Entry } from '../store/store.js'
import { Tail } from '../store/tail.js'
import type { TailStart } from '../store/tail.js'
import type { Watcher } from '../store/watcher.js'
import { encodeEvent, KEEP_ALIVE } from './events.js'

/** Bytes a connection may hold; past it nothing more is read from the log until the client takes some. */
const HIGH_WATER_BYTES = 64 * 1024
/** How long an answer may wait for its end, so that a short one is sent whole: a stream costs more than all the rest. */
const WHOLE_WITHIN_MS = 10

/** What is used of a `ServerResponse`. */
export type Outgoing = { destroy(): unknown; cork?(): void; uncork?(): void }

export type EventStreamStart = TailStart & {
  /** Sent before the first entry, such as a priming event. */
  preamble: string
  /** Told of every entry that went out. */
  onWritten?: (entry: Entry) => void
  onClosed: () => void
  /** Broken under a client that takes nothing; a stream that has ended can't be, while its last chunk waits. */
  outgoing: Outgoing | undefined
}

/** One SSE connection: shows the entries of one log as events, from a cursor on, until the log's last one. */
export class EventStream {
  readonly scope: string
  readonly log: string
  readonly openedAt = Date.now()
  /** The client holds an event id, so it loses nothing when the connection ends. */
  resumable: boolean
  /** Set once it is known that the answer is not sent whole. */
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  #tail: Tail
  #unsent: string
  #closed = false
  #onClosed: () => void
  #quietSince = Date.now()
  #stalledSince: number | undefined
  readonly #start: EventStreamStart

  constructor(store: Store, watcher: Watcher, start: EventStreamStart) {
    this.scope = start.scope
    this.log = start.log
    this.resumable = start.preamble !== ''
    this.#start = start
    this.#onClosed = start.onClosed
    this.#unsent = start.preamble
    this.#tail = new Tail(store, watcher, start, {
      write: (entry) => {
        const { event, last } = encodeEvent(start.log, entry)
        if (last && this.#controller) this.#gather()
        if (event !== undefined) {
          this.resumable = true
          this.#unsent += event
          start.onWritten?.(entry)
        }
        if (last) this.close()
        return !this.#closed && this.#hasRoom()
      },
      flush: () => this.#flush(),
      over: () => this.close(),
    })
  }

  caughtUp() {
    return this.#tail.caughtUp()
  }

  /** The text, if the log ends soon and is short; else a stream of what is there and what comes. Its client can't resume before. */
  async whole(): Promise<string | ReadableStream<Uint8Array>> {
    if (!this.#closed && this.#hasRoom()) await this.#endOrTime()
    return this.#closed ? this.#unsent : this.stream()
  }

  stream(): ReadableStream<Uint8Array> {
    this.#gather()
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller
          if (this.#unsent !== '') this.#sendUnsent(controller)
          if (this.#closed) controller.close()
        },
        pull: () => {
          this.#stalledSince = undefined
          this.#tail.resume()
        },
        cancel: () => this.#release(),
      },
      { highWaterMark: HIGH_WATER_BYTES, size: (chunk) => chunk?.byteLength ?? 0 },
    )
  }

  /** Ends the connection once the client has taken what it holds. */
  close() {
    if (this.#closed) return
    this.#flush()
    this.#release()
    this.#controller?.close()
  }

  /** Called now and then: keeps an idle connection alive, and ends one that takes nothing. */
  tick(
    now: number,
    {
      keepAlive,
      stallTimeout,
      maxStreamAge,
    }: { keepAlive: number; stallTimeout: number; maxStreamAge: number },
  ) {
    if (!this.#controller) return
    if (this.#hasRoom()) {
      if (this.resumable && now - this.openedAt >= maxStreamAge) this.close()
      else if (now - this.#quietSince >= keepAlive) this.#enqueue(this.#controller, KEEP_ALIVE)
    } else {
      this.#stalledSince ??= now
      if (now - this.#stalledSince >= stallTimeout) this.#disconnect(this.#controller)
    }
  }

  /** Resolves when the log has ended, or may no longer be waited for. */
  #endOrTime(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, WHOLE_WITHIN_MS)
      this.#onClosed = () => {
        clearTimeout(timer)
        this.#start.onClosed()
        resolve()
      }
    })
  }

  #disconnect(controller: ReadableStreamDefaultController<Uint8Array>) {
    this.#release()
    if (this.#start.outgoing) this.#start.outgoing.destroy()
    else controller.error(new Error('The client took no data for too long.'))
  }

  /** Head and first event go out in one write, and so do the last event and the end. */
  #gather() {
    const { outgoing } = this.#start
    if (!outgoing?.cork) return
    outgoing.cork()
    setImmediate(() => outgoing.uncork?.())
  }

  #enqueue(controller: ReadableStreamDefaultController<Uint8Array>, text: string) {
    this.#quietSince = Date.now()
    controller.enqueue(Buffer.from(text))
  }

  /** Events that come together go out together. */
  #flush() {
    if (this.#controller && this.#unsent !== '' && !this.#closed) this.#sendUnsent(this.#controller)
  }

  #sendUnsent(controller: ReadableStreamDefaultController<Uint8Array>) {
    this.#enqueue(controller, this.#unsent)
    this.#unsent = ''
  }

  #hasRoom() {
    return (this.#controller?.desiredSize ?? HIGH_WATER_BYTES) > this.#unsent.length
  }

  #release() {
    if (this.#closed) return
    this.#closed = true
    this.#tail.end()
    this.#onClosed()
  }
}

export function eventStreamResponse(sessionId: string, body: string | ReadableStream<Uint8Array>): Response {
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'mcp-session-id': sessionId,
    },
  })
}
