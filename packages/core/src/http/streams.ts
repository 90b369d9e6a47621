import { setTimeout as sleep } from 'node:timers/promises'
import { randomId } from '../ids.js'
import { Members } from '../members.js'
import type { Settings } from '../settings.js'
import type { Stream } from '../signals/events.js'
import type { Signals } from '../signals/signals.js'
import type { Entry, Store } from '../store/store.js'
import type { Watcher } from '../store/watcher.js'
import { endOfTurn } from '../turn.js'
import { EventStream } from './event-stream.js'
import type { EventStreamEvents, EventStreamStart } from './event-stream.js'
import { refuse } from './replies.js'

/** Topic on which a standalone stream says that it is open; its value names that stream. */
const OPENED = 'standalone'
const CATCH_UP_MS = 1000

/** `resumed`: the client goes on with a stream that it had. `listener`: who listens without a session. */
type StreamStart = EventStreamStart &
  Partial<EventStreamEvents> & {
    resumed?: boolean | undefined
    listener?: string
  }

/** The SSE connections on this node. */
export class Streams {
  readonly #store: Store
  readonly #watcher: Watcher
  readonly #settings: Settings
  readonly #signals: Signals
  readonly #open = new Map<string, Members<EventStream>>()
  /** How many streams listeners without a session have. */
  readonly #listening = new Map<string, number>()
  #closed = false

  constructor(store: Store, watcher: Watcher, settings: Settings, signals: Signals) {
    this.#store = store
    this.#watcher = watcher
    this.#settings = settings
    this.#signals = signals
  }

  /** How many there are. */
  get size() {
    let size = 0
    for (const streams of this.#open.values()) size += streams.size
    return size
  }

  /** Sessions that have a stream here. */
  sessions(): Iterable<string> {
    return this.#open.keys()
  }

  guardLimit(sessionId: string) {
    if ((this.#open.get(sessionId)?.size ?? 0) < this.#settings.maxOpenStreams) return
    throw refuse.tooMany('this session has as many open streams as it may')
  }

  /** One caller must not take the streams of all. */
  guardListener(listener: string) {
    if ((this.#listening.get(listener) ?? 0) < this.#settings.maxOpenStreams) return
    throw refuse.tooMany('this caller listens on as many streams as it may')
  }

  #count(listener: string, more: 1 | -1) {
    const count = (this.#listening.get(listener) ?? 0) + more
    if (count > 0) this.#listening.set(listener, count)
    else this.#listening.delete(listener)
  }

  open(given: StreamStart): EventStream {
    const start = { ...given }
    const { scope, listener } = start
    if (listener !== undefined) {
      // Others may have begun to listen since it was let in.
      this.guardListener(listener)
      this.#count(listener, 1)
    }
    const streams = this.#open.get(scope) ?? new Members<EventStream>()
    if (streams.size === 0) this.#open.set(scope, streams)
    const onEnded = this.#signals.stream?.(describe(start))
    const replayed = start.resumed && this.#signals.replayed ? new Replayed() : undefined
    const stream = new EventStream(this.#store, this.#watcher, start, {
      onWritten: replayed ? (entry) => replayed.count(entry, start.onWritten) : start.onWritten,
      onClosed: () => {
        start.onClosed?.()
        if (listener !== undefined) this.#count(listener, -1)
        onEnded?.()
        leave()
        if (streams.size === 0 && this.#open.get(scope) === streams) this.#open.delete(scope)
      },
    })
    const leave = streams.add(stream)
    if (replayed) void replayed.tell(stream, start, this.#signals)
    if (this.#closed) stream.leave()
    return stream
  }

  /**
   * Opens the session's standalone stream and ends the one before, on whichever node. All nodes hear of openings
   * in the same order, so of several at once exactly the last one stays.
   */
  async openStandalone(start: StreamStart): Promise<EventStream> {
    const mine = randomId()
    let heardMine = false
    const watch = this.#watcher.watch(start.scope, OPENED, ({ topic, value }) => {
      if (topic !== OPENED) return
      if (heardMine && value !== mine) stream.close()
      heardMine ||= value === mine
    })
    const onClosed = () => {
      watch.end()
      start.onClosed?.()
    }
    const stream = this.open({ ...start, onWritten: this.#keepDelivered(start), onClosed })
    try {
      await watch.active
      await this.#store.publish(start.scope, OPENED, mine)
      return stream
    } catch (error) {
      stream.close()
      throw error
    }
  }

  /** Remembers how far the client has come, one write at a time; a client that comes back without a cursor goes on from there. */
  #keepDelivered({ scope, after }: StreamStart) {
    let written = after
    let saved = after
    let saving = false
    const save = async () => {
      saving = true
      try {
        while (saved !== written) {
          // What was written in this turn has gone out by then.
          await endOfTurn()
          const id = written
          await this.#store.saveDelivered(scope, id)
          saved = id
        }
      } finally {
        // Not a turn later: what is written in between would not be saved.
        saving = false
      }
    }
    return ({ id }: Entry) => {
      written = id
      if (!saving) save().catch(() => undefined)
    }
  }

  /** Ends the streams of one log here; their clients come back. */
  close(sessionId: string, log: string) {
    for (const stream of this.#open.get(sessionId) ?? []) if (stream.log === log) stream.retire()
  }

  /** Ends all streams, once each has what is there for it: some clients could not come back for it. */
  async closeAll() {
    this.#closed = true
    const open = [...this.#open.values()].flatMap((streams) => [...streams])
    const caughtUp = Promise.all(open.map((stream) => stream.caughtUp()))
    await Promise.race([caughtUp, sleep(CATCH_UP_MS, undefined, { ref: false })])
    // What they have delivered is remembered then.
    await endOfTurn()
    for (const streams of this.#open.values()) for (const stream of streams) stream.leave()
  }

  tick() {
    const now = performance.now()
    for (const streams of this.#open.values()) for (const stream of streams) stream.tick(now, this.#settings)
  }
}

/** What is encoded in a way of its own is for a client without a session. */
const describe = ({ scope, log, encode, resumed = false }: StreamStart): Stream => ({
  sessionId: encode ? undefined : scope,
  stream: log !== 'out' ? 'call' : encode ? 'listen' : 'standalone',
  resumed,
})

/** Counts the events that were there when a client came back, as far as it takes them at once. */
class Replayed {
  #events = 0

  count(entry: Entry, onWritten: StreamStart['onWritten']) {
    this.#events++
    onWritten?.(entry)
  }

  async tell(stream: EventStream, start: StreamStart, { replayed }: Signals) {
    await stream.caughtUp()
    const { sessionId, stream: kind } = describe(start)
    replayed?.({ sessionId, stream: kind, events: this.#events })
  }
}
