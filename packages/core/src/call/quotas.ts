import type { JsonRpcRequest } from '../json-rpc.js'
import type { QuotaOptions } from '../quota-options.js'
import { whileStoreFails } from '../store/retry.js'
import type { PlaceOwner, QuotaStore } from '../store/quotas.js'
import type { TakeoverStore } from '../store/takeover.js'
import { counted, isHeld, isRun, isTurn, quotasFor } from './call-quotas.js'
import type { NamedQuota } from './call-quotas.js'
import { freeGone } from './gone-places.js'
import type { Membership } from './membership.js'
import type { QueuedCalls } from './queued-calls.js'
import type { CallQuota } from './record.js'

/** When there will be room is not known where it depends on how long calls take. */
const LOOK_AGAIN_MS = 5000
/** Of so many quotas it is known when they were looked at last: each principal may have one. */
const MOST_KNOWN = 10_000

/** `limit`: for whoever was refused. `isQueued`: it is not refused, and waits for its turn. */
export type OverQuota = { limit: string; retryAfterMs: number; isQueued: boolean }

/**
 * Quotas of calls, over all nodes.
 *
 * Invariant: a call takes its places before it is opened, and keeps them until it has ended, whichever node runs it. Which calls are
 * open is kept elsewhere: where a quota is full, the places of calls that are not open, or of those that run of calls that are parked, are given
 * back, once they are too old to be those of a call that is just being opened.
 */
export class Quotas {
  readonly #store: QuotaStore & TakeoverStore
  readonly #rules: readonly QuotaOptions[]
  readonly #membership: Membership
  readonly #queue: Pick<QueuedCalls, 'look' | 'begin'>
  readonly #lookedAt = new Map<string, number>()

  constructor(
    store: QuotaStore & TakeoverStore,
    membership: Membership,
    queue: QueuedCalls,
    rules: readonly QuotaOptions[] = [],
  ) {
    this.#store = store
    this.#membership = membership
    this.#queue = queue
    this.#rules = rules
    queue.isUsed = rules.length > 0
  }

  /** Those that requests of a principal fall under; several requests of one call count once. Mostly none. */
  of(requests: readonly JsonRpcRequest[], principal: string | undefined): readonly NamedQuota[] {
    return quotasFor(this.#rules, requests, principal)
  }

  /** All or none. `mayWait`: for room to be started and to run in. */
  async take(
    owner: PlaceOwner,
    quotas: readonly (CallQuota & { text?: string })[],
    { mayWait = false } = {},
  ): Promise<OverQuota | undefined> {
    const queued = mayWait ? quotas.filter(isTurn) : []
    const others = quotas.filter((quota) => !queued.includes(quota))
    const take = () => this.#store.takePlaces(owner, others.map(counted), queued.map(counted))
    const full = await take()
    if (!full) return undefined
    const freed = await Promise.all(full.names.filter(isHeld).map((name) => this.#freeGone(name)))
    const isFreed = freed.includes(true)
    if (isFreed && full.isQueued) void this.#queue.look()
    const still = isFreed && !full.isQueued ? await take() : full
    if (!still) return undefined
    const { text } = quotas.find(({ name }) => name === still.names[0]) ?? {}
    return {
      limit: `no place is left in the quota ${text}`,
      retryAfterMs: still.freeInMs ?? LOOK_AGAIN_MS,
      isQueued: still.isQueued,
    }
  }

  /** The call is nobody's, and waits for its turn: which may have come before it was nobody's, and was left alone then. */
  async queued(owner: PlaceOwner) {
    const turn = await this.#store.turnOf(owner)
    // One that stood still for long before it was opened was taken for gone, and is in the queue no more.
    if (turn !== 'waits') await this.#queue.begin(owner, turn)
    await this.#queue.look()
  }

  /** The call is about to run on this node: it waits for no turn any more. If that fails, its turn is told of again. */
  async begins(owner: PlaceOwner) {
    const turn = await this.#store.turnOf(owner)
    if (turn !== undefined && turn !== 'waits') await this.#store.leaveQueue(turn)
  }

  /** The call was not opened: it has not begun either. */
  notOpened(owner: PlaceOwner, quotas: readonly CallQuota[]) {
    if (quotas.length > 0)
      this.#release(
        owner,
        quotas.map(({ name }) => name),
      )
  }

  /** The call has ended. In the background: what is lost is found when the quota is full. */
  release(owner: PlaceOwner, quotas: readonly CallQuota[]) {
    if (quotas.length > 0) this.#release(owner, quotas.map(({ name }) => name).filter(isHeld))
  }

  /**
   * Before a call is parked. Resolves to what gives back its places once it is, in the background; those that it takes when it goes on stay
   * its own, whenever that is done.
   */
  async parking(owner: PlaceOwner, quotas: readonly CallQuota[]): Promise<() => void> {
    const names = quotas.filter(isRun).map(({ name }) => name)
    if (names.length === 0) return () => undefined
    // Nobody else looks at them meanwhile: what they were found with later would not be given back.
    const takenAt = await this.#store.touchPlaces(owner, names)
    return () => this.#release(owner, names, takenAt)
  }

  #release(owner: PlaceOwner, names: readonly string[], takenAt?: number) {
    const release = () => this.#store.releasePlaces(owner, names, takenAt)
    whileStoreFails(release, this.#membership.background).then(
      (isWaitedFor) => (isWaitedFor ? this.#queue.look() : undefined),
      () => undefined,
    )
  }

  /** Gives back places of calls that don't need them. Looked at once in a while: nearly always there are none. */
  async #freeGone(name: string): Promise<boolean> {
    const { leaseMs } = this.#membership.lease
    const now = performance.now()
    if (now - (this.#lookedAt.get(name) ?? Number.NEGATIVE_INFINITY) < leaseMs) return false
    if (this.#lookedAt.size >= MOST_KNOWN) this.#lookedAt.clear()
    this.#lookedAt.set(name, now)
    // Who asks has its answer from the store already.
    return freeGone(this.#store, name, leaseMs).catch(() => false)
  }
}
