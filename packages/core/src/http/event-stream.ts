import type { Store, Entry } from '../store/store.js'
import { Tail } from '../store/tail.js'
import type { TailStart } from '../store/tail.js'
import type { Watcher } from '../store/watcher.js'
import { encodeEvent, KEEP_ALIVE } from './events.js'

/** Bytes a connection may hold; past it nothing more is read from the log until the client takes some. */
const HIGH_WATER_BYTES = 64 * 1024

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
  readonly body: ReadableStream<Uint8Array>
  readonly scope: string
  readonly log: string
  readonly openedAt = Date.now()
  /** The client holds an event id, so it loses nothing when the connection ends. */
  resumable: boolean
  #controller!: ReadableStreamDefaultController<Uint8Array>
  #tail: Tail
  #unsent = ''
  #closed = false
  #quietSince = Date.now()
  #stalledSince: number | undefined
  readonly #start: EventStreamStart

  constructor(store: Store, watcher: Watcher, start: EventStreamStart) {
    this.scope = start.scope
    this.log = start.log
    this.resumable = start.preamble !== ''
    this.#start = start
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller
        },
        pull: () => {
          this.#stalledSince = undefined
          this.#tail.resume()
        },
        cancel: () => this.#release(),
      },
      { highWaterMark: HIGH_WATER_BYTES, size: (chunk) => chunk?.byteLength ?? 0 },
    )
    if (start.preamble !== '') {
      this.#gather()
      this.#enqueue(start.preamble)
    }
    this.#tail = new Tail(store, watcher, start, {
      write: (entry) => {
        const { event, last } = encodeEvent(start.log, entry)
        if (last) this.#gather()
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

  /** Ends the connection once the client has taken what it holds. */
  close() {
    if (this.#closed) return
    this.#flush()
    this.#release()
    this.#controller.close()
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
    if (this.#hasRoom()) {
      if (this.resumable && now - this.openedAt >= maxStreamAge) this.close()
      else if (now - this.#quietSince >= keepAlive) this.#enqueue(KEEP_ALIVE)
    } else {
      this.#stalledSince ??= now
      if (now - this.#stalledSince >= stallTimeout) this.#disconnect()
    }
  }

  #disconnect() {
    this.#release()
    if (this.#start.outgoing) this.#start.outgoing.destroy()
    else this.#controller.error(new Error('The client took no data for too long.'))
  }

  /** Head and first event go out in one write, and so do the last event and the end. */
  #gather() {
    const { outgoing } = this.#start
    if (!outgoing?.cork) return
    outgoing.cork()
    setImmediate(() => outgoing.uncork?.())
  }

  #enqueue(text: string) {
    this.#quietSince = Date.now()
    this.#controller.enqueue(Buffer.from(text))
  }

  /** Events that come together go out together. */
  #flush() {
    const text = this.#unsent
    this.#unsent = ''
    if (text !== '' && !this.#closed) this.#enqueue(text)
  }

  #hasRoom() {
    return (this.#controller.desiredSize ?? 0) > this.#unsent.length
  }

  #release() {
    if (this.#closed) return
    this.#closed = true
    this.#tail.end()
    this.#start.onClosed()
  }
}

export function eventStreamResponse(sessionId: string, stream: EventStream): Response {
  return new Response(stream.body, {
    headers: {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'mcp-session-id': sessionId,
    },
  })
}
