import { StoreError } from '../../errors.js'
import { randomId } from '../../ids.js'
import type { RequestId } from '../../json-rpc.js'
import type { Logger } from '../../logger.js'
import { whileStoreFails, within } from '../../store/retry.js'
import type { Store } from '../../store/store.js'
import type { Watcher } from '../../store/watcher.js'
import { sleepFor } from '../../timers.js'
import type { CallPlace } from '../../session/place.js'

/** By this topic a node asks which one shows a call to its client. */
const WANTED = 'wanted'
/** The value of a call's scope that says which node was the last to show it to a client that had come back. */
const LAST = 'shown by'
/** So long the other nodes have to answer: longer than they wait before they try again to note something. */
const ANSWER_MS = 2000
/** So long a client that comes back waits for a store that takes no writes. */
const NOTED_WITHIN_MS = 2000

/** What becomes of a call whose client has closed its stream: it is cancelled after so long, or goes on to its end. */
export type OnDisconnect = 'cancel' | 'finish' | { cancelAfterMs: number }

export type DepartureServices = {
  store: Store
  watcher: Watcher
  logger: Logger
  /** Whether its client may be away for any time: it is asked something, or the call is a task. */
  mayStay: (place: CallPlace) => Promise<boolean>
  cancel: (place: CallPlace, requestId: RequestId) => Promise<unknown>
}

/**
 * Clients that are gone. To close the stream is to cancel the request (2026-07-28, "Streamable HTTP: Cancellation"); but nobody
 * can tell that from a connection that broke, whose client comes back, to any node. If the node dies on which the client
 * was, the call is not cancelled: that client has closed nothing.
 */
export class Departures {
  readonly #services: DepartureServices
  readonly #cancelAfterMs: number | undefined
  /** How many streams of a call there are here. */
  readonly #shown = new Map<string, number>()
  /** By its scope, what a call that is not shown any more waits for: each time that its client goes, anew. */
  readonly #departed = new Map<string, symbol>()
  readonly #closed = new AbortController()
  readonly #node = randomId()

  constructor(services: DepartureServices, policy: OnDisconnect) {
    this.#services = services
    this.#cancelAfterMs = policy === 'finish' ? undefined : policy === 'cancel' ? 0 : policy.cancelAfterMs
  }

  /**
   * Its client has come back to this node, which shows it the call once that is noted: whoever had the client before finds it, even if
   * this node stands still from then on. A store that takes no writes may still be read, so that is not waited for without end.
   */
  async back(
    place: CallPlace,
    requestId: RequestId,
    { signal }: Request,
    show: () => Promise<Response>,
  ): Promise<Response> {
    if (this.#cancelAfterMs === undefined) return show()
    const coming = this.show(place, requestId)
    const note = () => this.#note(place.scope, () => !signal.aborted)
    try {
      await whileStoreFails(note, within(NOTED_WITHIN_MS)).catch((error: unknown) => {
        if (!(error instanceof StoreError)) throw error
        whileStoreFails(note, this.#closed).catch(() => undefined)
      })
      return await show()
    } catch (error) {
      coming.left()
      throw error
    } finally {
      coming.end()
    }
  }

  /** A stream shows the call to its client. `end`: not any more; `left`: the client has closed it. */
  show(place: CallPlace, requestId: RequestId): { end: () => void; left: () => void } {
    if (this.#cancelAfterMs === undefined) return { end: () => undefined, left: () => undefined }
    const { watcher } = this.#services
    const { scope } = place
    this.#shown.set(scope, (this.#shown.get(scope) ?? 0) + 1)
    this.#departed.delete(scope)
    const noteAgain = () => this.#note(scope, () => this.#shown.has(scope))
    const watch = watcher.watch(scope, WANTED, ({ topic }) => {
      if (topic === WANTED) whileStoreFails(noteAgain, this.#closed).catch(() => undefined)
    })
    let hasLeft = false
    return {
      left: () => {
        hasLeft = true
      },
      end: () => {
        watch.end()
        const others = (this.#shown.get(scope) ?? 1) - 1
        if (others > 0) this.#shown.set(scope, others)
        else this.#shown.delete(scope)
        if (hasLeft && others === 0) void this.#wait(place, requestId)
      },
    }
  }

  close() {
    this.#closed.abort()
    this.#departed.clear()
  }

  async #wait(place: CallPlace, requestId: RequestId) {
    const { scope } = place
    const departure = Symbol()
    this.#departed.set(scope, departure)
    const { logger, mayStay, cancel } = this.#services
    const afterMs = this.#cancelAfterMs ?? 0
    const isAway = () => this.#departed.get(scope) === departure
    const cancelUnlessBack = async () => {
      if (!isAway()) return
      const noted = await this.#noteAway(scope)
      if (noted === undefined) return
      if (afterMs > 0) await this.#askOthers(scope)
      if ((await mayStay(place)) || !(await this.#isStillAway(scope, noted)) || !isAway()) return
      await cancel(place, requestId)
    }
    try {
      if (afterMs > 0) await this.#pause(afterMs)
      await whileStoreFails(cancelUnlessBack, this.#closed)
    } catch (error) {
      // This node is leaving. The call goes on to its end, and nobody hears of it.
      logger.debug({ error }, 'a call whose client is gone could not be cancelled')
    } finally {
      if (isAway()) this.#departed.delete(scope)
    }
  }

  #pause(ms: number) {
    return sleepFor(ms, { signal: this.#closed.signal, ref: false })
  }

  /** That this node was the last to show it. If it stood still meanwhile, the client may have gone on to another one. */
  async #note(scope: string, isShown: () => boolean): Promise<void> {
    const { store } = this.#services
    const last = await store.readValue(scope, LAST)
    if (last?.data === this.#node || !isShown()) return
    if ((await store.writeValue(scope, LAST, last?.version ?? 0, this.#node)) === 'conflict')
      await this.#note(scope, isShown)
  }

  /**
   * That the client has gone from here; `undefined`: another node has it, which sees it go, or dies, and a death is no departure.
   * From this on the store takes writes, so that whoever had it refused can note that the client is back.
   */
  async #noteAway(scope: string): Promise<number | undefined> {
    const { store } = this.#services
    const last = await store.readValue(scope, LAST)
    if (last !== undefined && last.data !== this.#node) return undefined
    return versionIn(await store.writeValue(scope, LAST, last?.version ?? 0, this.#node))
  }

  /** Looked at by writing: a client that comes back later than this is late, however long it takes until the call is cancelled. */
  async #isStillAway(scope: string, noted: number) {
    return versionIn(await this.#services.store.writeValue(scope, LAST, noted, this.#node)) !== undefined
  }

  /** Another node may have an older stream of it, and notes that now. */
  async #askOthers(scope: string) {
    await this.#services.store.publish(scope, WANTED, '')
    await this.#pause(ANSWER_MS)
  }
}

/** `undefined`: it was not written. */
const versionIn = (written: Awaited<ReturnType<Store['writeValue']>>) =>
  typeof written === 'number' ? written : undefined
