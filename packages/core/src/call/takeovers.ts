import { randomId } from '../ids.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { DueCallsStore } from '../store/due-calls.js'
import type { MembershipStore, NodeBeat } from '../store/membership.js'
import type { QuotaStore } from '../store/quotas.js'
import { within } from '../store/retry.js'
import type { Store } from '../store/store.js'
import type { TakeoverStore } from '../store/takeover.js'
import { AwaitedCalls } from './awaited-calls.js'
import type { ClaimedParked } from './awaited-calls.js'
import { Claims } from './claims.js'
import type { Claimed } from './claims.js'
import { DivergedCalls } from './diverged-calls.js'
import { DueCalls } from './due-calls.js'
import { lateAfterMs } from './lease.js'
import { isDead } from './liveness.js'
import type { Membership } from './membership.js'
import { ALL_NODES } from './node-channels.js'
import { QueuedCalls } from './queued-calls.js'
import { ReturnedCalls } from './returned-calls.js'

type Stores = MembershipStore & TakeoverStore & DueCallsStore & QuotaStore & Pick<Store, 'watch' | 'publish'>

const PAGE = 100
/** Somebody waits until it is left. */
const LEFT_WITHIN_MS = 10_000

/** Finds the open calls of nodes that are gone, or that can't run them, or whose time has come, and claims them for this node. */
export class Takeovers {
  readonly #store: Stores
  readonly #membership: Membership
  readonly #logger: Logger
  readonly #claims: Claims
  readonly #awaited: AwaitedCalls
  readonly #returned: ReturnedCalls
  readonly diverged: DivergedCalls
  readonly dueCalls: DueCalls
  readonly queuedCalls: QueuedCalls
  /** A node has left or started since the last sweep has begun. */
  #isNews = false
  #onNews: () => void = () => undefined

  /** `onClaimed`: a call is this node's, and is to be run. */
  constructor(
    store: Stores,
    membership: Membership,
    logger: Logger,
    onClaimed: (claimed: Claimed) => Promise<void>,
  ) {
    this.#store = store
    this.#membership = membership
    this.#logger = logger
    this.#claims = new Claims(store, membership, onClaimed)
    this.#awaited = new AwaitedCalls(store, membership, this.#claims)
    this.#returned = new ReturnedCalls(store, membership, this.#claims)
    this.diverged = new DivergedCalls(store, membership, this.#claims, (place) =>
      this.#returned.handOn(place),
    )
    this.dueCalls = new DueCalls(store, membership, this.#claims)
    this.queuedCalls = new QueuedCalls(store, membership, this.#claims)
  }

  /** Until the node leaves. */
  start() {
    const { background, lease } = this.#membership
    const listener = (topic: string, value: string) => {
      if (topic === 'returned') this.#heardOfReturned(value)
      else if (topic === 'diverged') this.#heardOfDiverged(value)
      else this.#heardOfNode(topic)
    }
    background.signal.addEventListener('abort', () => this.endWaking())
    void background.watch(this.#store, ALL_NODES, listener, lease.sweepMs).then(() => this.#sayStarted())
    void background.repeat(
      () => this.#sweep(),
      () => this.#pauseOrNews(lease.sweepMs * (0.8 + 0.4 * Math.random())),
      (error) => this.#membership.storeIsAway(error),
    )
  }

  /** Somebody waits for an open call of the scope. Most are run by another node; if there is none, this one does. */
  rescue(scope: string, claims?: ClaimedParked): Promise<void> {
    return this.#awaited.rescue(scope, claims)
  }

  /**
   * Leaves something for an open call that may be parked, and claims it then, as `rescue` does. If this node dies in between, another
   * one claims it. Rejects as `leave` does.
   */
  async leaveFor<T>(
    place: { scope: string; callId: string },
    claims: ClaimedParked,
    leave: () => Promise<T>,
  ): Promise<T> {
    const entry = { ...place, nonce: randomId() }
    await this.dueCalls.enter(entry, Date.now() + this.#membership.lease.leaseMs, within(LEFT_WITHIN_MS))
    const left = await leave()
    this.rescue(place.scope, claims).then(
      // A node that leaves has claimed nothing: the others find it when it is due.
      () => this.#membership.background.isOver || this.dueCalls.remove(entry),
      () => undefined,
    )
    return left
  }

  /** A call that nothing has run, which the nodes that work may claim, if this one only serves. False: it stays this node's. */
  async leave(claimed: Claimed, abandon: () => void): Promise<boolean> {
    if (!this.#membership.leavesCalls) return false
    abandon()
    await this.#returned.giveBack(claimed)
    return true
  }

  /** What is due, and whose turn has come, is left to the other nodes. */
  endWaking() {
    this.dueCalls.end()
    this.queuedCalls.end()
  }

  /** A claimed call that this node can't run. `wasTried`: the claim counts as a run. */
  giveBack(claimed: Pick<Claimed, 'scope' | 'callId'>, options?: { wasTried?: boolean }): Promise<void> {
    return this.#returned.giveBack(claimed, options)
  }

  /** Scopes in which this node may still own a call that it has given back. */
  get returnedScopes(): Set<string> {
    return new Set([...this.#returned.scopes, ...this.diverged.scopes])
  }

  #heardOfReturned(value: string) {
    if (!this.#membership.leavesCalls) this.#returned.heard(value)
  }

  #heardOfDiverged(value: string) {
    if (!this.#membership.leavesCalls) this.diverged.heard(value)
  }

  /** What was offered before this node has listened it has missed. */
  #sayStarted() {
    const { node, background } = this.#membership
    if (!background.isOver) this.#store.publish(ALL_NODES, 'started', node).catch(() => undefined)
  }

  /** One has left, or has started: the next sweep finds what is to be claimed, or offered. */
  #heardOfNode(topic: string) {
    if (topic === 'started') this.#returned.offerAgain()
    this.#isNews = true
    this.#onNews()
  }

  async #sweep() {
    this.#isNews = false
    void this.dueCalls.look()
    void this.queuedCalls.lookIfUsed()
    const { node: own, lease, background } = this.#membership
    const nodes = await this.#nodes()
    for (const beat of nodes) {
      if (this.#membership.leavesCalls) break
      // That a node has left, or is declared dead, is no judgement of its lateness.
      const isKnown = beat.lateMs === Number.POSITIVE_INFINITY
      if (beat.node === own || !(isKnown || this.#membership.mayJudge())) continue
      if (await isDead(this.#store, beat, lease, (ms) => background.pause(ms)))
        await this.#takeCallsOf(beat.node)
    }
    this.diverged.offer(nodes)
    await this.#awaited.lookAgain(nodes)
  }

  /** By a clock of the store that was set forward everybody is late until the next beat: who is dead by the lease is late at two looks. */
  async #nodes(): Promise<NodeBeat[]> {
    const { node: own, lease, background } = this.#membership
    const nodes = await this.#membership.nodes()
    const isLate = ({ node, lateMs }: NodeBeat) =>
      node !== own && lateMs >= lease.leaseMs && lateMs < Number.POSITIVE_INFINITY
    if (!nodes.some(isLate)) return nodes
    await background.pause(lateAfterMs(lease))
    return this.#membership.nodes()
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
      // What it has not claimed before it leaves is left to the others.
      if (background.isOver) return
      for (const [index, { status }] of claimed.entries()) {
        if (status === 'rejected') failed.add(scopes[index]!)
      }
      const done = scopes.filter((scope) => !failed.has(scope))
      if (done.length > 0 && !(await this.#store.declareDead(dead, done, lateMs))) return
    }
    const removed = await this.#store.removeNode(dead, lateMs)
    if (removed) this.#logger.info({ node: shortId(dead) }, 'a node is gone; its calls were taken over')
  }

  /** What becomes of a node is looked at without delay. */
  async #pauseOrNews(ms: number) {
    if (this.#isNews) return
    const news = new Promise<void>((resolve) => (this.#onNews = resolve))
    await Promise.race([this.#membership.background.pause(ms), news])
  }
}

/** Nodes that sweep at the same time begin with different scopes. */
function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, order: Math.random() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ item }) => item)
}
