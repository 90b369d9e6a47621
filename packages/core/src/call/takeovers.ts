import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { MembershipStore } from '../store/membership.js'
import type { Store } from '../store/store.js'
import type { TakeoverStore } from '../store/takeover.js'
import { AwaitedCalls } from './awaited-calls.js'
import { Claims } from './claims.js'
import type { Claimed } from './claims.js'
import { lateAfterMs } from './lease.js'
import { isDead } from './liveness.js'
import type { Membership } from './membership.js'
import { ALL_NODES } from './node-channels.js'
import { ReturnedCalls } from './returned-calls.js'

type Stores = MembershipStore & TakeoverStore & Pick<Store, 'watch' | 'publish'>

const PAGE = 100

/** Finds the open calls of nodes that are gone, or that can't run them, and claims them for this node. */
export class Takeovers {
  readonly #store: Stores
  readonly #membership: Membership
  readonly #logger: Logger
  readonly #claims: Claims
  readonly #awaited: AwaitedCalls
  readonly #returned: ReturnedCalls
  /** A node has left since the last sweep has begun. */
  #hasLeft = false
  #onLeft: () => void = () => undefined

  /** `onClaimed`: a call is this node's, and is to be run. */
  constructor(store: Stores, membership: Membership, logger: Logger, onClaimed: (claimed: Claimed) => void) {
    this.#store = store
    this.#membership = membership
    this.#logger = logger
    this.#claims = new Claims(store, membership, onClaimed)
    this.#awaited = new AwaitedCalls(store, membership, this.#claims)
    this.#returned = new ReturnedCalls(store, membership, this.#claims)
  }

  /** Until the node leaves. */
  start() {
    const { background, lease } = this.#membership
    const listener = (topic: string, value: string) => {
      if (topic === 'returned') this.#returned.heard(value)
      else this.#noteLeft()
    }
    void background.watch(this.#store, ALL_NODES, listener, lease.sweepMs)
    void background.repeat(
      () => this.#sweep(),
      () => this.#pauseOrLeaving(lease.sweepMs * (0.8 + 0.4 * Math.random())),
      (error) => this.#membership.storeIsAway(error),
    )
  }

  /** Somebody waits for an open call of the scope. Most are run by another node; if there is none, this one does. */
  rescue(scope: string): Promise<void> {
    return this.#awaited.rescue(scope)
  }

  /** A claimed call that this node can't run. `wasTried`: the claim counts as a run. */
  giveBack(claimed: Claimed, options?: { wasTried?: boolean }): Promise<void> {
    return this.#returned.giveBack(claimed, options)
  }

  /** Scopes in which this node may still own a call that it has given back. */
  get returnedScopes(): Set<string> {
    return this.#returned.scopes
  }

  #noteLeft() {
    this.#hasLeft = true
    this.#onLeft()
  }

  async #sweep() {
    this.#hasLeft = false
    const { node: own, lease, background } = this.#membership
    const nodes = await this.#membership.nodes()
    for (const beat of nodes) {
      // That a node has left, or is declared dead, is no judgement of its lateness.
      const isKnown = beat.lateMs === Number.POSITIVE_INFINITY
      if (beat.node === own || !(isKnown || this.#membership.mayJudge())) continue
      if (await isDead(this.#store, beat, lease, (ms) => background.pause(ms)))
        await this.#takeCallsOf(beat.node)
    }
    await this.#awaited.lookAgain(nodes)
  }

  /** A part of the store may be away; the rest of the calls need not wait for it. */
  async #takeCallsOf(dead: string) {
    const { lease, background } = this.#membership
    const lateMs = lateAfterMs(lease)
    const failed = new Set<string>()
    for (;;) {
      const held = await this.#store.heldScopes(dead, PAGE)
      const scopes = shuffled(held.filter((scope) => !failed.has(scope)))
      if (scopes.length > 0) await this.#returned.letOthersGoFirst()
      if (scopes.length === 0 || background.isOver) break
      const claimed = await Promise.allSettled(scopes.map((scope) => this.#claims.claimAllOf(dead, scope)))
      for (const [index, { status }] of claimed.entries()) {
        if (status === 'rejected') failed.add(scopes[index]!)
      }
      const done = scopes.filter((scope) => !failed.has(scope))
      if (done.length > 0 && !(await this.#store.declareDead(dead, done, lateMs))) return
    }
    const removed = await this.#store.removeNode(dead, lateMs)
    if (removed) this.#logger.info({ node: shortId(dead) }, 'a node is gone; its calls were taken over')
  }

  /** A node that leaves says so, and is looked at without delay. */
  async #pauseOrLeaving(ms: number) {
    if (this.#hasLeft) return
    const left = new Promise<void>((resolve) => (this.#onLeft = resolve))
    await Promise.race([this.#membership.background.pause(ms), left])
  }
}

/** Nodes that sweep at the same time begin with different scopes. */
function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, order: Math.random() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ item }) => item)
}
