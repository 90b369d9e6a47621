import { recognising } from '../seal/sealed-store.js'
import { DurableError } from '../errors.js'
import { checkNames } from '../known-options.js'
import { digest, randomId } from '../ids.js'
import type { Admission, EntryId, Store } from '../store/store.js'

/**
 * The SDK's `EventStore`, of both majors, for the transport of one session. What its own description leaves open:
 *
 * - An event is stored once, in the order of the calls, and acknowledged by the store before its id is given out.
 * - An id belongs to one session and one stream. Events of other streams are never replayed with it.
 * - An id of another session, one that never was, and one whose event is not kept any more are all unknown:
 *   `getStreamIdForEventId` answers `undefined`, at which the SDK refuses the resume with 400, and `replayEventsAfter` throws
 *   an `UnknownEventError`. Nothing is ever skipped in silence.
 * - A replay sends exactly the events after the id, oldest first, one at a time: it waits for `send`. What is stored while
 *   it runs is part of it; the SDK keeps such an event from going out twice.
 * - The empty message that the SDK stores to have an id to begin a stream with is not replayed: it is no message.
 * - A store that is away makes each of these reject with its `StoreError`.
 */
export interface SessionEventStore {
  /** `message`: any JSON-RPC message. Resolves to the event's id. */
  // oxlint-disable-next-line typescript/no-explicit-any -- each major has a type of its own for messages
  storeEvent(streamId: string, message: any): Promise<string>
  getStreamIdForEventId(eventId: string): Promise<string | undefined>
  /** Resolves to the stream of the event, when all later ones were sent. */
  replayEventsAfter(
    eventId: string,
    // oxlint-disable-next-line typescript/no-explicit-any -- as above
    to: { send: (eventId: string, message: any) => Promise<void> },
  ): Promise<string>
}

export type EventStoreOptions = {
  /** How many events of the session are kept, over all its streams; older ones go. Default: 1000. */
  maxEvents?: number
  /** How long they are kept after the last one, in milliseconds. Default: 24 hours. */
  ttlMs?: number
}

/** There is no such event in the session, or not any more. */
export class UnknownEventError extends DurableError {
  constructor() {
    super('unknown-event', 'The session has no such event, or does not keep it any more.')
  }
}

const DAY_MS = 24 * 60 * 60_000
const PAGE = 100

/** Keeps the events of a session that an SDK transport serves: `new …Transport({ eventStore: eventStore(store, sessionId) })`. */
export function eventStore(
  store: Store,
  sessionId: string,
  options: EventStoreOptions = {},
): SessionEventStore {
  checkNames('eventStore()', options, ['maxEvents', 'ttlMs'])
  return new StoredEvents(recognising(store), sessionId, options)
}

type StoredEvent = { stream: string; message: object }

class StoredEvents implements SessionEventStore {
  readonly #store: Store
  readonly #scope: string
  /** Tells the ids of this session from those of others, which may hold an entry of the same number. */
  readonly #mark: string
  readonly #maxEvents: number
  readonly #ttlMs: number
  #keptAt = 0

  constructor(store: Store, sessionId: string, { maxEvents = 1000, ttlMs = DAY_MS }: EventStoreOptions) {
    this.#store = store
    this.#mark = digest(sessionId)
    this.#scope = `events:${this.#mark}`
    this.#maxEvents = maxEvents
    this.#ttlMs = ttlMs
  }

  async storeEvent(stream: string, message: object): Promise<string> {
    await this.#keep()
    const data = JSON.stringify({ stream, message } satisfies StoredEvent)
    const options = { nonce: randomId(), maxLength: this.#maxEvents }
    let entry = await this.#store.append(this.#scope, 'out', data, options)
    if (entry === undefined) {
      await this.#begin()
      entry = await this.#store.append(this.#scope, 'out', data, options)
    }
    if (!entry) throw new DurableError('session-gone', 'The events of the session were deleted.')
    return this.#idOf(entry, stream)
  }

  async getStreamIdForEventId(eventId: string): Promise<string | undefined> {
    const event = this.#parse(eventId)
    const held = event && (await this.#store.read(this.#scope, 'out', event.entry, 1))
    return held && event.stream
  }

  async replayEventsAfter(
    eventId: string,
    { send }: { send: (eventId: string, message: object) => Promise<void> },
  ): Promise<string> {
    const event = this.#parse(eventId)
    if (!event) throw new UnknownEventError()
    for (let after = event.entry; ;) {
      const entries = await this.#store.read(this.#scope, 'out', after, PAGE)
      if (!entries) throw new UnknownEventError()
      for (const { id, data } of entries) {
        const { stream, message } = JSON.parse(data) as StoredEvent
        after = id
        if (stream === event.stream && Object.keys(message).length > 0)
          await send(this.#idOf(id, stream), message)
      }
      if (entries.length < PAGE) return event.stream
    }
  }

  #idOf(entry: EntryId, stream: string) {
    return `${entry}.${this.#mark}.${encodeURIComponent(stream)}`
  }

  #parse(eventId: string): { entry: EntryId; stream: string } | undefined {
    const [, entry = '', mark, stream = ''] = /^(\d+-\d+)\.([\w-]+)\.(.*)$/.exec(eventId) ?? []
    if (mark !== this.#mark) return undefined
    try {
      return { entry, stream: decodeURIComponent(stream) }
    } catch {
      return undefined
    }
  }

  /** Slides the expiry, now and then. */
  async #keep(): Promise<Admission | undefined> {
    if (Date.now() - this.#keptAt < this.#ttlMs / 20) return undefined
    this.#keptAt = Date.now()
    return this.#store.admit(this.#scope, undefined, this.#ttlMs)
  }

  async #begin() {
    const state = { key: 'events', data: '' }
    const session = { id: this.#scope, principal: undefined, protocolVersion: '', state, ttlMs: this.#ttlMs }
    await this.#store.createSession(session, { maxPerPrincipal: 1 })
  }
}
