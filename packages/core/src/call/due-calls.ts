import { whileStoreFails } from '../store/retry.js'
import type { Ending } from '../store/retry.js'
import type { DueCall, DueCallsStore } from '../store/due-calls.js'
import { isParked } from '../store/takeover.js'
import type { TakeoverStore } from '../store/takeover.js'
import { startTimer } from '../timers.js'
import type { Claims } from './claims.js'
import type { Membership } from './membership.js'

/** So many are woken at once by one node; the others are left to the other nodes, and to its next look. */
const PAGE = 50
/** A call that is slow to begin does not hold up the others for longer. */
const PATIENCE_MS = 1000

/**
 * Calls that are parked until a time. Every node looks for those whose time has come, and claims a few at once.
 *
 * Invariant: a call that is parked until a time has an entry in the store, at that time or before, until it is claimed. The entry is
 * made before the call is parked, so the call that it leads to may still be owned by its node, or be one that is not parked at all:
 * it is left there, and looked at again, as long as the call is open.
 */
export class DueCalls {
  readonly #store: DueCallsStore & TakeoverStore
  readonly #membership: Membership
  readonly #claims: Claims
  #looking: Promise<void> | undefined
  #nextAt = Number.POSITIVE_INFINITY
  #callOff: (() => void) | undefined
  #isOver = false

  constructor(store: DueCallsStore & TakeoverStore, membership: Membership, claims: Claims) {
    this.#store = store
    this.#membership = membership
    this.#claims = claims
  }

  /** Before a call is parked, or is left something that it waits for. */
  async enter(entry: DueCall, at: number, ending: Ending = this.#membership.background) {
    await whileStoreFails(() => this.#store.setDue(entry, at), ending)
    if (at < this.#nextAt) this.#lookAt(at)
  }

  /** The call was not parked, or is not any more. What is lost is found when its time has come. */
  remove(entry: DueCall) {
    this.#store.removeDue([entry]).catch(() => undefined)
  }

  /** Claims those whose time has come, by the clock of this node, which their handlers go by. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#wakeAll()
      // The next sweep looks again.
      .catch(() => undefined)
      .finally(() => (this.#looking = undefined))
    return this.#looking
  }

  /** Leaves them to the other nodes. */
  end() {
    this.#isOver = true
    this.#callOff?.()
  }

  async #wakeAll() {
    const { lease } = this.#membership
    while (!this.#isOver && !this.#membership.leavesCalls) {
      const now = Date.now()
      const { due, next = Number.POSITIVE_INFINITY } = await this.#store.takeDue(
        now,
        now + lease.leaseMs,
        PAGE,
      )
      await Promise.allSettled(due.map((entry) => this.#wake(entry)))
      if (due.length < PAGE) return this.#lookAt(next)
    }
  }

  async #wake(entry: DueCall) {
    const { scope, callId } = entry
    const open = await this.#store.listOpenCalls(scope)
    const call = open.find((each) => each.callId === callId)
    if (call && !isParked(call.owner)) return
    const claimed = call && (await this.#claims.claim(scope, call))
    // Another node may have been quicker, or this one is leaving.
    if (call && !claimed) return
    await this.#store.removeDue([entry])
    await Promise.race([claimed?.running, this.#membership.background.pause(PATIENCE_MS)])
  }

  #lookAt(at: number) {
    this.#callOff?.()
    this.#callOff = undefined
    this.#nextAt = at
    if (at === Number.POSITIVE_INFINITY || this.#isOver) return
    const look = () => {
      this.#nextAt = Number.POSITIVE_INFINITY
      void this.look()
    }
    this.#callOff = startTimer(Math.max(0, at - Date.now()), look, { ref: false })
  }
}
