import { isSessionless } from '../protocol.js'
import type { Store, Entry } from '../store/store.js'
import { Tail } from '../store/tail.js'
import type { TailStart } from '../store/tail.js'
import type { Watcher } from '../store/watcher.js'
import { EventBody } from './event-body.js'
import { eventResponse } from './event-response.js'
import { encodeEvent, KEEP_ALIVE } from './events.js'

/** What is used of a `ServerResponse`. */
export type Outgoing = { destroy(): unknown; readonly socket?: Corkable | null }
type Corkable = { cork?(): void; uncork?(): void }

export type EventStreamStart = TailStart & {
  /** Sent before the first entry, such as a priming event. */
  preamble: string
  /** What of an entry goes out; default: what is for a client with a session. */
  encode?: typeof encodeEvent
  /** What its client hears when this node leaves, where no other node can go on. */
  farewell?: string | undefined
  /** Told before, if its client has not heard all: it has closed it, or this node ends it, as it is old, or is not taken. */
  onLeft?: (by: 'client' | 'node') => void
  /** Destroyed under a client that takes nothing: what waits for room there does not look at the body. */
  outgoing: Outgoing | undefined
}

export type EventStreamEvents = {
  /** Its client has taken all, or nothing more. */
  onClosed: () => void
  /** Told of every entry that went out. */
  onWritten: ((entry: Entry) => void) | undefined
}

/** One SSE connection: shows the entries of one log as events, from a cursor on, until the log's last one. */
export class EventStream {
  readonly body: EventBody
  readonly scope: string
  readonly log: string
  readonly openedAt = performance.now()
  /** The client holds an event id, so it loses nothing when the connection ends. */
  resumable: boolean
  #tail: Tail
  /** Nothing more is written; its client may still take what was. */
  #closed = false
  #quietSince = performance.now()
  #stalledSince: number | undefined
  readonly #start: EventStreamStart

  constructor(
    store: Store,
    watcher: Watcher,
    start: EventStreamStart,
    { onClosed, onWritten }: EventStreamEvents,
  ) {
    this.scope = start.scope
    this.log = start.log
    this.resumable = hasId(start.preamble)
    this.#start = start
    this.body = new EventBody({
      onTaken: () => {
        this.#stalledSince = undefined
        if (this.body.hasRoom) this.#tail.resume()
      },
      onCancelled: () => this.#end('client'),
      onClosed,
    })
    if (start.preamble !== '') this.#write(start.preamble)
    this.#tail = new Tail(store, watcher, start, {
      write: (entry) => {
        const { event, last } = (start.encode ?? encodeEvent)(start.log, entry)
        if (last) gather(start.outgoing)
        if (event !== undefined) {
          this.resumable ||= hasId(event)
          this.#write(event)
          onWritten?.(entry)
        }
        if (last) this.close()
        return !this.#closed && this.body.hasRoom
      },
      flush: () => this.body.flush(),
      over: () => this.close(),
      // Its client comes back, to another node perhaps; here it is told why not.
      sealed: () => this.retire(),
    })
  }

  caughtUp() {
    return this.#tail.caughtUp()
  }

  /** Writes an event that no log has. Where the client takes nothing the connection ends instead. */
  tell(event: string) {
    if (this.#closed) return
    if (!this.body.hasRoom) return this.close()
    this.#write(event)
    this.body.flush()
  }

  /** Ends the connection with one more event. */
  finish(event: string) {
    if (this.#closed) return
    gather(this.#start.outgoing)
    this.#write(event)
    this.close()
  }

  /** Ends the connection because this node leaves. */
  leave() {
    const { farewell } = this.#start
    if (farewell === undefined) this.close()
    else this.finish(farewell)
  }

  /** Ends the connection once the client has taken what it holds. */
  close() {
    if (this.#closed) return
    this.#end()
    this.body.end()
  }

  /** Ends the connection of a client that is to come back. */
  retire() {
    if (this.#closed) return
    this.#end('node')
    this.body.end()
  }

  /** Called now and then with `performance.now()`: keeps an idle connection alive, and ends one that takes nothing. */
  tick(
    now: number,
    {
      keepAliveMs,
      stallTimeoutMs,
      maxStreamAgeMs,
    }: { keepAliveMs: number; stallTimeoutMs: number; maxStreamAgeMs: number },
  ) {
    if (!this.body.isAwaited) {
      this.#stalledSince ??= now
      if (now - this.#stalledSince >= stallTimeoutMs) this.#disconnect()
    } else if (this.resumable && now - this.openedAt >= maxStreamAgeMs) this.retire()
    else if (now - this.#quietSince >= keepAliveMs) {
      this.#write(KEEP_ALIVE)
      this.body.flush()
    }
  }

  #disconnect() {
    this.#end('node')
    const { outgoing } = this.#start
    outgoing?.destroy()
    if (outgoing) void this.body.cancel()
    else this.body.fail(new Error('The client took no data for too long.'))
  }

  #write(text: string) {
    this.#quietSince = performance.now()
    this.body.write(text)
  }

  /** `leftBy`: before its client has heard all. */
  #end(leftBy?: 'client' | 'node') {
    if (this.#closed) return
    this.#closed = true
    if (leftBy) this.#start.onLeft?.(leftBy)
    this.#tail.end()
  }
}

/**
 * What is sent in this turn goes out in one write: the head and the first event, the last event and the end. The socket is corked,
 * not the response: Node.js 22 and 24 send what a corked response holds after its end.
 */
export function gather(outgoing: Outgoing | undefined) {
  const socket = outgoing?.socket
  if (!socket?.cork) return
  socket.cork()
  setImmediate(() => socket.uncork?.())
}

const hasId = (event: string) => event.startsWith('id: ') || event.startsWith('event: message\nid: ')

/** What a request names in its headers. */
type Named = { protocolVersion: string | null; mcpSessionId: string | null }

/** Of an answer to a request that names a session. */
export function sessionHeader({ protocolVersion, mcpSessionId }: Named): Record<string, string> {
  return isSessionless(protocolVersion ?? '') ? {} : { 'mcp-session-id': mcpSessionId ?? '' }
}

export function eventStreamResponse(asked: Named & { sendsEvents: boolean }, stream: EventStream) {
  const headers = {
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    ...sessionHeader(asked),
  }
  return eventResponse(stream.body, headers, asked.sendsEvents)
}
