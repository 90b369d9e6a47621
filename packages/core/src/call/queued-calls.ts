import type { PlaceOwner, QuotaStore, Turn } from '../store/quotas.js'
import { isParked } from '../store/takeover.js'
import type { TakeoverStore } from '../store/takeover.js'
import { isHeld } from './call-quotas.js'
import type { Claims } from './claims.js'
import { freeGone } from './gone-places.js'
import type { Membership } from './membership.js'

/** So many are begun at once by one node; the others are left to the other nodes, and to its next look. */
const PAGE = 50
/** A node without quotas looks for what others have left in the queue, which may all be gone. */
const SELDOM_MS = 60_000

/**
 * Calls that wait for their turn, because a quota was full. Nobody owns them. Every node looks whose turn has come, and claims those.
 *
 * Invariant: a call is in the queue before it is opened or parked, and leaves it only when it runs or has ended. Whose turn has come has its
 * places; if the node that was told of it dies before it has claimed the call, another one is told.
 */
export class QueuedCalls {
  readonly #store: QuotaStore & TakeoverStore
  readonly #membership: Membership
  readonly #claims: Claims
  /** Whether this node has quotas. */
  isUsed = false
  #lookedAt = Number.NEGATIVE_INFINITY
  #freedAt = Number.NEGATIVE_INFINITY
  #looking: Promise<void> | undefined
  #isOver = false

  constructor(store: QuotaStore & TakeoverStore, membership: Membership, claims: Claims) {
    this.#store = store
    this.#membership = membership
    this.#claims = claims
  }

  /** With each sweep. */
  async lookIfUsed() {
    if (!this.isUsed && performance.now() - this.#lookedAt <= SELDOM_MS) return
    await this.look()
    if (await this.#freeGone().catch(() => false)) await this.look()
  }

  /** Claims those whose turn has come. Never rejects. */
  async look(): Promise<void> {
    // What has come since the look that is under way.
    await this.#looking
    this.#looking ??= this.#beginAll()
      // The next sweep looks again.
      .catch(() => undefined)
      .finally(() => (this.#looking = undefined))
    await this.#looking
  }

  /**
   * The turn of the call has come: it has its places. It is left alone if a node owns it: that one finds the places. True: there is no such
   * call, and its places are given back.
   */
  async begin({ scope, callId }: PlaceOwner, turn: Turn | undefined): Promise<boolean> {
    if (this.#membership.leavesCalls) return false
    const open = await this.#store.listOpenCalls(scope)
    const call = open.find((each) => each.callId === callId)
    if (call && isParked(call.owner)) await this.#claims.claim(scope, call)
    // It may be one that is just being opened.
    if (call || !turn || turn.waitedMs <= 2 * this.#membership.lease.leaseMs) return false
    await this.#store.releasePlaces(turn, turn.names)
    return true
  }

  /** Leaves them to the other nodes. */
  end() {
    this.#isOver = true
  }

  /** What has a place may be gone, while nobody comes who would find the quota full. Looked at once in a while. */
  async #freeGone(): Promise<boolean> {
    const { leaseMs } = this.#membership.lease
    const now = performance.now()
    if (this.#isOver || now - this.#freedAt < leaseMs) return false
    this.#freedAt = now
    const names = (await this.#store.waitedFor()).filter(isHeld)
    const freed = await Promise.all(names.map((name) => freeGone(this.#store, name, leaseMs)))
    return freed.includes(true)
  }

  async #beginAll() {
    const { leaseMs } = this.#membership.lease
    while (!this.#isOver && !this.#membership.leavesCalls) {
      this.#lookedAt = performance.now()
      const turns = await this.#store.nextTurns(leaseMs, PAGE)
      const begun = await Promise.allSettled(turns.map((turn) => this.begin(turn, turn)))
      // Those places are for whoever stands behind.
      const isFreed = begun.some((each) => each.status === 'fulfilled' && each.value)
      if (turns.length < PAGE && !isFreed) return
    }
  }
}
