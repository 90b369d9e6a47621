import { setMaxListeners } from 'node:events'
import { randomId } from '../../ids.js'
import type { RequestId } from '../../json-rpc.js'
import type { Logger } from '../../logger.js'
import { whileStoreFails, within } from '../../store/retry.js'
import type { Store } from '../../store/store.js'
import type { Watcher } from '../../store/watcher.js'
import { sleepFor } from '../../timers.js'
import { nameOf } from '../../session/place.js'
import type { CallPlace } from '../../session/place.js'
import { refuse } from '../replies.js'

/** By this topic a node asks which one has the client of a call. */
const WANTED = 'wanted'
/** So long the other nodes have to answer. */
const ANSWER_MS = 2000
/** So long a client that comes back waits for a store that takes no writes. */
const NOTED_WITHIN_MS = 10_000
/** A client whose stream this node has ended comes back so much later, at the latest, than it is told to. */
const RETURNS_WITHIN_MS = 5000

/** What becomes of a call whose client has closed its stream: it is cancelled after so long, or goes on to its end. */
export type OnDisconnect = 'cancel' | 'finish' | { cancelAfterMs: number }

/** Who has ended a stream before its client had heard all: a client that is gone without a word is found by what it does not take. */
export type EndedBy = 'client' | 'node'

export type DepartureServices = {
  store: Store
  watcher: Watcher
  logger: Logger
  /** After so long clients are told to come back. */
  retryMs: number
  /** Whether its client may be away for any time: it is asked something, or the call is a task. */
  mayStay: (place: CallPlace) => Promise<boolean>
  /** If the client is gone: looked at right before the cancellation is left. */
  cancel: (place: CallPlace, requestId: RequestId, isGone: () => Promise<boolean>) => Promise<unknown>
}

/** `isAsking`: it was away for so long that the other nodes are asked. */
type Departure = { isAsking: boolean }

/** The client of a call, on this node. */
type Presence = {
  place: CallPlace
  /** How many streams of the call it has here. */
  streams: number
  /** It was shown the call here, which need not be noted of the first node. */
  wasShown: boolean
  /** By when it is to be back, by `performance.now()`, if it has not heard all of some stream. */
  backBy: number
  /** That its last stream here has ended. */
  departure: Departure | undefined
  /** A note that another node has asked for. */
  noting: Promise<void>
  watch: { end(): void }
}

/**
 * Clients that are gone. To close the stream is to cancel the request (2026-07-28, "Streamable HTTP: Cancellation"); but nobody
 * can tell that from a connection that broke, whose client comes back, to any node. If the node dies on which the client
 * was, the call is not cancelled: that client has closed nothing.
 *
 * Invariant: each return of a client is noted in the store before the client hears of it, and a call is cancelled only by the node
 * that has noted last, after it has asked the others and if none of them has noted anything since. So whoever has a client keeps its
 * call, even if it stands still.
 */
export class Departures {
  readonly #services: DepartureServices
  readonly #cancelAfterMs: number | undefined
  readonly #presences = new Map<string, Presence>()
  readonly #closed = new AbortController()
  readonly #node = randomId()

  constructor(services: DepartureServices, policy: OnDisconnect) {
    this.#services = services
    this.#cancelAfterMs = policy === 'finish' ? undefined : policy === 'cancel' ? 0 : policy.cancelAfterMs
    setMaxListeners(0, this.#closed.signal)
  }

  /** Its client has come back to this node: it is noted, and then shown. Rejects if the store takes no writes, or the client has gone again. */
  async back(
    place: CallPlace,
    requestId: RequestId,
    { signal }: Request,
    show: () => Promise<Response>,
  ): Promise<Response> {
    if (this.#cancelAfterMs === undefined) return show()
    const presence = this.#presenceAt(place)
    const coming = this.#show(presence, requestId)
    try {
      const note = () => this.#note(presence, () => !signal.aborted)
      await whileStoreFails(note, within(NOTED_WITHIN_MS))
      if (signal.aborted) throw refuse.unavailable('the client has gone.')
      return await show()
    } catch (error) {
      coming.left(signal.aborted ? 'client' : 'node')
      throw error
    } finally {
      coming.end()
    }
  }

  /** A stream shows the call to its client. `end`: not any more; `left`: before that its client has heard all. */
  show(place: CallPlace, requestId: RequestId): { end: () => void; left: (by: EndedBy) => void } {
    if (this.#cancelAfterMs === undefined) return { end: () => undefined, left: () => undefined }
    const presence = this.#presenceAt(place)
    presence.wasShown = true
    return this.#show(presence, requestId)
  }

  close() {
    this.#closed.abort()
    for (const presence of this.#presences.values()) presence.departure = undefined
  }

  #show(presence: Presence, requestId: RequestId) {
    let endedBy: EndedBy | undefined
    presence.streams++
    presence.departure = undefined
    return {
      left: (by: EndedBy) => {
        endedBy = by
      },
      end: () => {
        if (endedBy) presence.backBy = Math.max(presence.backBy, performance.now() + this.#awayMs(endedBy))
        if (--presence.streams > 0) return
        if (endedBy) void this.#wait(presence, requestId)
        else this.#forget(presence)
      },
    }
  }

  #presenceAt(place: CallPlace): Presence {
    const name = nameOf(place)
    const here = this.#presences.get(name)
    if (here) return here
    const has = () => presence.streams > 0 || presence.departure?.isAsking === false
    const watch = this.#services.watcher.watch(place.scope, WANTED, ({ topic }) => {
      if (topic !== WANTED || !has()) return
      const noting = whileStoreFails(() => this.#note(presence, has), this.#closed)
      presence.noting = noting.catch(() => undefined)
    })
    const presence: Presence = {
      place,
      streams: 0,
      wasShown: false,
      backBy: 0,
      departure: undefined,
      noting: Promise.resolve(),
      watch,
    }
    this.#presences.set(name, presence)
    return presence
  }

  #forget({ place, watch }: Presence) {
    watch.end()
    this.#presences.delete(nameOf(place))
  }

  #awayMs(endedBy: EndedBy) {
    const ownMs = this.#cancelAfterMs ?? 0
    return endedBy === 'client' ? ownMs : Math.max(ownMs, this.#services.retryMs + RETURNS_WITHIN_MS)
  }

  async #wait(presence: Presence, requestId: RequestId) {
    const { place } = presence
    const { logger, mayStay, cancel } = this.#services
    const departure = { isAsking: false }
    presence.departure = departure
    // A node that is leaving decides nothing: its clients are on their way to others.
    const isAway = () => presence.departure === departure && !this.#closed.signal.aborted
    const isGone = async () => (await this.#isLast(presence)) && isAway()
    const afterMs = Math.max(0, presence.backBy - performance.now())
    const cancelUnlessBack = async () => {
      departure.isAsking = true
      await presence.noting
      // What is written, and not only read, shows that the others can write, too.
      if (!isAway() || !(await isGone())) return
      if (afterMs > 0) await this.#askOthers(place)
      if (isAway() && !(await mayStay(place))) await cancel(place, requestId, isGone)
    }
    try {
      if (afterMs > 0) await this.#pause(afterMs)
      await whileStoreFails(cancelUnlessBack, this.#closed)
    } catch (error) {
      // This node is leaving. The call goes on to its end, and nobody hears of it.
      logger.debug({ error }, 'a call whose client is gone could not be cancelled')
    } finally {
      if (presence.streams === 0 && (presence.departure === departure || this.#closed.signal.aborted))
        this.#forget(presence)
    }
  }

  #pause(ms: number) {
    return sleepFor(ms, { signal: this.#closed.signal, ref: false })
  }

  /** That this node has the client, if it still does. */
  async #note({ place: { scope, callId } }: Presence, has: () => boolean): Promise<void> {
    const { store } = this.#services
    for (;;) {
      const last = await store.readValue(scope, lastOf(callId))
      if (!has()) return
      const noted = await store.writeValue(scope, lastOf(callId), last?.version ?? 0, this.#node)
      if (noted !== 'conflict') return
    }
  }

  /** Whether no other node has noted since that it has the client: looked at by noting it once more. */
  async #isLast({ place: { scope, callId }, wasShown }: Presence): Promise<boolean> {
    const { store } = this.#services
    const last = await store.readValue(scope, lastOf(callId))
    if (last ? last.data !== this.#node : !wasShown) return false
    const noted = await store.writeValue(scope, lastOf(callId), last?.version ?? 0, this.#node)
    return typeof noted === 'number'
  }

  /** Another node may have an older stream of it, and notes that now. */
  async #askOthers({ scope }: CallPlace) {
    await this.#services.store.publish(scope, WANTED, '')
    await this.#pause(ANSWER_MS)
  }
}

/** The value of a call's scope that says which node has noted last that it has the client. */
const lastOf = (callId: string) => `shown by ${callId}`
