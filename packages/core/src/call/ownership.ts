import { StoreError } from '../errors.js'
import { randomId } from '../ids.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { NodeBeat, OpenCall, OwnershipStore } from '../store/ownership.js'
import type { EntryId, Store } from '../store/store.js'
import { whileStoreFails } from '../store/retry.js'
import { sleepFor } from '../timers.js'
import { decodeAbout, encodeAbout } from './about-node.js'
import { encodeRecord } from './record.js'

export type Lease = {
  /** Time between heartbeats. */
  heartbeatMs: number
  /** A node this late is dead, whatever else is known. */
  leaseMs: number
  /** Time between looks at the other nodes. */
  sweepMs: number
}

/** A call that is this node's now. `first`: the entry that says so. `claims`: how many there have been, without those given back. */
export type Claimed = { scope: string; callId: string; first: EntryId; claims: number }
/** A call that its owner would give away: until it appends anything behind `last`. */
type Offer = { scope: string; callId: string; owner: string; last: EntryId }

type OwnerStore = OwnershipStore & Pick<Store, 'watch' | 'publish'>

/** Two looks this far apart must find nobody on a node's channel. */
const SECOND_LOOK_MS = 150
/** After the store was away, every node seems late and unheard of until it has connected again. */
const SETTLE_MS = 5_000
/** Longer than it takes to open a call in a scope that was just held, with a store that answers within its deadline. */
const RELEASE_AFTER_MS = 60_000
const PAGE = 100
/** After a call was given back, this node looks again so much later, twice as long each time. Others may be quicker. */
const FIRST_RETRY_MS = 1_000
const MOST_RETRY_MS = 30_000
/** As many nodes as hear of a call that was given back must not all ask for it at once. */
const SPREAD_MS = 100
/** A node that could not run a call lets others go first for so long. */
const UNFIT_MS = 30_000
const NODES = 'nodes'
const OTHER_SERVER =
  'a node with another server uses the same store, prefix and name: each takes the sessions and calls of the other for its ' +
  "own. Give each server its own name: durable({ name: 'orders', … })"
/** What a node listens on while it lives. */
export const channelOf = (node: string) => `node:${node}`

/**
 * This node among the others: it beats, holds scopes, and claims the calls of nodes that died.
 *
 * Invariant: a scope is held before a call is opened or claimed in it, is still held before the call is run, and is
 * released only when none is left; so every call of a dead node is found. A verdict of death may be wrong: the epoch
 * fences the old owner.
 */
export class Ownership {
  readonly node = randomId()
  readonly #store: OwnerStore
  readonly #lease: Lease
  readonly #logger: Logger
  readonly #takeOver: (claimed: Claimed) => void
  readonly #onDoubt: () => void
  /** When a scope was last used, or that it is about to be held. A node may hold very many. */
  readonly #held = new Map<string, number | Promise<void>>()
  readonly #stopped = new AbortController()
  /** Scopes in which somebody waits for an open call of another node, and since when. */
  readonly #awaited = new Map<string, number>()
  #settledAt = 0
  readonly #startedAt = Date.now()
  #beatAt = this.#startedAt
  #beating: Promise<void> | undefined
  #beatsFail = false
  /** When the last beat was sent after which the store knew this node and all that it holds. */
  #knownAt = 0
  /** A beat has begun since, and may have been the one that was told that the node is not known. */
  #isUnsure = true
  #onLeft: () => void = () => undefined
  #toldRefused = false
  /** By its own account. */
  #isListening = false
  #server: string | undefined
  readonly #toldOthers = new Set<string>()
  /** Calls that this node has given back: when it may claim them again. */
  readonly #returned = new Map<string, { scope: string; tries: number; notBefore: number }>()
  #unfitUntil = 0
  #unwatch: Array<() => void> = []

  /** `onDoubt`: others may have taken this node for dead, and its calls over. */
  constructor(
    store: OwnerStore,
    lease: Lease,
    logger: Logger,
    { takeOver, onDoubt }: { takeOver: (claimed: Claimed) => void; onDoubt: () => void },
  ) {
    this.#store = store
    this.#lease = lease
    this.#logger = logger
    this.#takeOver = takeOver
    this.#onDoubt = onDoubt
  }

  start() {
    void this.#watch(channelOf(this.node), () => undefined).then(() => (this.#isListening = true))
    void this.#watch(NODES, (topic, value) => {
      if (topic === 'returned') this.#heardOffer(value)
      else this.#onLeft()
    })
    void this.#repeat(
      () => this.#beatOnce(),
      () => this.#pause(this.#lease.heartbeatMs),
    )
    void this.#repeat(
      () => this.#sweep(),
      () => this.#pauseOrLeaving(this.#lease.sweepMs * (0.8 + 0.4 * Math.random())),
    )
  }

  /** How many scopes are held. */
  get heldScopes() {
    return this.#held.size
  }

  /** How the store sees this node. Throws a `StoreError` while it is away. */
  async seen(): Promise<{ beating: boolean; listening: boolean }> {
    const [nodes, isWatched] = await Promise.all([this.#store.listNodes(), this.#isWatched(this.node)])
    const own = nodes.find(({ node }) => node === this.node)
    return {
      beating: own !== undefined && own.lateMs < this.#lease.leaseMs,
      listening: isWatched ?? this.#isListening,
    }
  }

  /** True when others would find a call of this node in the scope; else `hold` sees to that. */
  holds(scope: string): boolean {
    const late = Date.now() - this.#knownAt
    // Others may have taken a node that stood still for dead, and what it held with it. While its beats reach nobody,
    // though it is awake, theirs don't either, and nobody is judged; a master of a Cluster may be away alone.
    const isSure = late < this.#lateMs || (this.#beatsFail && late < this.#lease.leaseMs)
    if (!isSure) return false
    const isHeld = typeof this.#held.get(scope) === 'number'
    if (isHeld) this.#held.set(scope, Date.now())
    return isHeld
  }

  /** Resolves when others would find a call of this node in the scope. */
  async hold(scope: string): Promise<void> {
    try {
      if (this.#isUnknown) await this.#beatOnce()
      // That one may have been under way since before this node stood still.
      if (this.#isUnknown) await this.#beatOnce()
    } catch (error) {
      if (this.holds(scope)) return
      throw error
    }
    if (!this.holds(scope)) await this.#holdNow(scope)
  }

  #holdNow(scope: string): Promise<void> {
    const underWay = this.#held.get(scope)
    if (typeof underWay === 'object') return underWay
    const holding = this.#store.hold(this.node, [scope])
    this.#held.set(scope, holding)
    const settle = (isHeld: boolean) => {
      if (this.#held.get(scope) !== holding) return
      if (isHeld) this.#held.set(scope, Date.now())
      else this.#held.delete(scope)
    }
    holding.then(
      () => settle(true),
      () => settle(false),
    )
    return holding
  }

  /** Lets go of scopes in which this node has nothing to run, and was not just about to. */
  releaseUnused(isUsed: (scope: string) => boolean) {
    const before = Date.now() - RELEASE_AFTER_MS
    const scopes: string[] = []
    const offered = new Set([...this.#returned.values()].map(({ scope }) => scope))
    for (const [scope, held] of this.#held) {
      if (typeof held === 'number' && held < before && !offered.has(scope) && !isUsed(scope))
        scopes.push(scope)
    }
    if (scopes.length === 0) return
    for (const scope of scopes) this.#held.delete(scope)
    // What stays held by mistake is found empty by whoever buries this node.
    this.#store.release(this.node, scopes).catch(() => undefined)
  }

  /** Hands over: the others may claim what this node owns at once. */
  async leave() {
    this.#stopped.abort()
    for (const unwatch of this.#unwatch.splice(0)) unwatch()
    await this.#store.leave(this.node)
    await this.#store.publish(NODES, 'left', this.node)
  }

  /**
   * A call that this node has claimed, and can't run: others may claim it, and so may this node after a while. It stays
   * this node's until then, so whoever looks for the calls of a dead node finds it. `wasTried`: the claim counts as a run.
   */
  async giveBack({ scope, callId }: Claimed, { wasTried = false } = {}) {
    const tries = (this.#returned.get(callId)?.tries ?? 0) + 1
    const wait = Math.min(FIRST_RETRY_MS * 2 ** (tries - 1), MOST_RETRY_MS) * (0.75 + Math.random() / 2)
    this.#forgetReturned()
    this.#returned.set(callId, { scope, tries, notBefore: Date.now() + wait })
    this.#unfitUntil = Date.now() + UNFIT_MS
    const data = encodeRecord({ kind: 'returned', returned: { node: this.node, nonce: randomId() } })
    const claim = { from: this.node, to: this.node, data, counts: wasTried ? 0 : -1 } as const
    const returned = await whileStoreFails(() => this.#store.claimCall(scope, callId, claim), this.#stopped)
    if (!returned) return
    const offer: Offer = { scope, callId, owner: this.node, last: returned.id }
    const { last, owner } = offer
    // Who misses it hears of it when this node has tried again.
    this.#store.publish(NODES, 'returned', `${scope} ${callId} ${owner} ${last}`).catch(() => undefined)
    void this.#claimLater(offer)
  }

  #heardOffer(value: string) {
    const [scope = '', callId = '', owner = '', last = ''] = value.split(' ')
    if (owner !== this.node) void this.#claimLater({ scope, callId, owner, last })
  }

  async #claimLater({ scope, callId, owner, last }: Offer) {
    const now = Date.now()
    const notBefore =
      this.#returned.get(callId)?.notBefore ?? (now < this.#unfitUntil ? now + FIRST_RETRY_MS : now)
    await this.#pause(Math.max(0, notBefore - now) + Math.random() * SPREAD_MS)
    // What fails is tried again; by this node for its own calls, by the owner of others.
    await this.#claim(scope, { callId, owner }, last).catch(() => undefined)
  }

  #forgetReturned() {
    const before = Date.now() - 4 * MOST_RETRY_MS
    for (const [callId, { notBefore }] of this.#returned)
      if (notBefore < before) this.#returned.delete(callId)
  }

  async #watch(scope: string, listener: (topic: string, value: string) => void) {
    while (!this.#stopped.signal.aborted) {
      try {
        this.#unwatch.push(await this.#store.watch(scope, listener))
        return
      } catch (error) {
        this.#tellOnce(error)
        await this.#pause(this.#lease.sweepMs)
      }
    }
  }

  /** A store that is away comes back; one that refuses does so until somebody changes its settings. */
  #tellOnce(error: unknown) {
    if (this.#toldRefused || !(error instanceof StoreError) || error.code !== 'store-failed') return
    this.#toldRefused = true
    this.#logger.warn({ error }, 'the store refuses to wake this node: calls and streams will not work')
  }

  /** Before it is so late, nobody takes from a node what it holds. */
  get #lateMs() {
    return this.#lease.heartbeatMs * 2
  }

  /** Others may have taken this node for dead since its last beat. */
  get #isUnknown() {
    return Date.now() - this.#knownAt >= this.#lateMs
  }

  #beatOnce(): Promise<void> {
    this.#beating ??= this.#beatAndTell().finally(() => (this.#beating = undefined))
    return this.#beating
  }

  async #beatAndTell() {
    try {
      await this.#beat()
      this.#beatsFail = false
    } catch (error) {
      this.#beatsFail = true
      throw error
    }
  }

  async #beat() {
    this.#noticePause()
    const began = Date.now()
    this.#beatAt = began
    const wasKnown = !this.#isUnsure
    this.#isUnsure = true
    const isKnown = await this.#store.beat(
      this.node,
      encodeAbout({ startedAt: this.#startedAt, server: this.#server }),
    )
    // The others may not be known either, for as long.
    if (Date.now() - began > this.#lateMs || (wasKnown && !isKnown)) this.#settledAt = Date.now() + SETTLE_MS
    // First beat, or taken for dead; or an earlier beat failed, which may have been the one that was told so.
    if (!(wasKnown && isKnown)) {
      if (this.#held.size > 0) await this.#store.hold(this.node, [...this.#held.keys()])
      this.#onDoubt()
    }
    this.#isUnsure = false
    this.#knownAt = began
  }

  async #sweep() {
    this.#noticePause()
    const beats = await this.#store.listNodes()
    if (this.#server !== undefined) this.#lookForOthers(this.#server, beats)
    for (const beat of beats) {
      if (beat.node === this.node || Date.now() < this.#settledAt) continue
      if (await this.#isDead(beat)) await this.#recover(beat.node)
    }
    await this.#rescueAgain(beats)
  }

  /** What this node serves, as soon as that is known. */
  serves(server: string) {
    this.#server = server
  }

  /** Nodes of another server under the same name would run this one's calls, and end those of tools that they don't have. */
  #lookForOthers(server: string, nodes: readonly NodeBeat[]) {
    for (const { node, lateMs, about } of nodes) {
      const other =
        node === this.node || lateMs >= this.#lease.leaseMs ? undefined : decodeAbout(about)?.server
      if (other === undefined || other === server || this.#toldOthers.has(other)) continue
      this.#toldOthers.add(other)
      this.#logger.warn({ node: shortId(node), server, other }, OTHER_SERVER)
    }
  }

  /** A node that stood still does not know who else did: a machine that slept, a long turn of the event loop. */
  #noticePause() {
    if (Date.now() - this.#beatAt > this.#lease.heartbeatMs * 4) this.#settledAt = Date.now() + SETTLE_MS
  }

  async #isDead({ node, lateMs }: NodeBeat) {
    if (lateMs >= this.#lease.leaseMs) return true
    if (lateMs < this.#lateMs) return false
    if (await this.#isHeard(node)) return false
    await this.#pause(SECOND_LOOK_MS)
    return !(await this.#isHeard(node))
  }

  /** Where its channel can't be looked at, the lease decides. */
  async #isHeard(node: string): Promise<boolean> {
    return (await this.#isWatched(node).catch(() => true)) ?? true
  }

  /** Whether the store knows that a node listens; `undefined` where it can't tell. */
  async #isWatched(node: string): Promise<boolean | undefined> {
    try {
      return await this.#store.isWatched?.(channelOf(node))
    } catch (error) {
      if (error instanceof StoreError && error.code === 'store-failed') return undefined
      throw error
    }
  }

  /** A part of the store may be away; the rest of the calls need not wait for it. */
  async #recover(dead: string) {
    const failed = new Set<string>()
    for (;;) {
      const held = await this.#store.heldScopes(dead, PAGE)
      const scopes = shuffled(held.filter((scope) => !failed.has(scope)))
      if (scopes.length > 0 && Date.now() < this.#unfitUntil) await this.#pause(FIRST_RETRY_MS)
      if (scopes.length === 0 || this.#stopped.signal.aborted) break
      const claimed = await Promise.allSettled(scopes.map((scope) => this.#claimAll(scope, dead)))
      for (const [index, { status }] of claimed.entries()) {
        if (status === 'rejected') failed.add(scopes[index]!)
      }
      const done = scopes.filter((scope) => !failed.has(scope))
      if (done.length > 0 && !(await this.#store.disown(dead, done, this.#lateMs))) return
    }
    const buried = await this.#store.bury(dead, this.#lateMs)
    if (buried) this.#logger.info({ node: shortId(dead) }, 'a node is gone; its calls were taken over')
  }

  /**
   * Somebody waits for an open call of the scope. Its owner may have died between opening it and holding the scope, and
   * then no list leads to it. Looks now, and again when every owner that lives has beaten since.
   */
  async rescue(scope: string) {
    if (!this.#awaited.has(scope)) this.#awaited.set(scope, Date.now())
    const calls = await this.#callsOfOthers(scope)
    if (calls.length === 0) this.#awaited.delete(scope)
    else await this.#claimAbandoned(scope, calls, await this.#store.listNodes())
  }

  async #rescueAgain(beats: readonly NodeBeat[]) {
    const due = [...this.#awaited].filter(([, since]) => Date.now() - since >= this.#lease.leaseMs)
    const looks = due.map(async ([scope]) => {
      const isOver = await this.#claimAbandoned(scope, await this.#callsOfOthers(scope), beats)
      if (isOver) this.#awaited.delete(scope)
    })
    // What can't be looked at now is looked at by the next sweep.
    await Promise.allSettled(looks)
  }

  async #callsOfOthers(scope: string) {
    return (await this.#store.listOpenCalls(scope)).filter(({ owner }) => owner !== this.node)
  }

  /** Claims those calls whose owner is nowhere to be found. False: of some it can't be told now. */
  async #claimAbandoned(scope: string, calls: readonly OpenCall[], beats: readonly NodeBeat[]) {
    const late = new Map(beats.map(({ node, lateMs }) => [node, lateMs]))
    // A list without this node was lost, and with it all who have not beaten since.
    if (!late.has(this.node) || Date.now() < this.#settledAt) return false
    for (const call of calls) if (!late.has(call.owner)) await this.#claim(scope, call)
    return calls.every(({ owner }) => (late.get(owner) ?? 0) < this.#lateMs)
  }

  async #claimAll(scope: string, dead: string) {
    const open = await this.#store.listOpenCalls(scope)
    for (const call of open.filter(({ owner }) => owner === dead)) await this.#claim(scope, call)
  }

  async #claim(scope: string, { callId, owner }: OpenCall, last?: EntryId) {
    if (this.#stopped.signal.aborted) return
    await this.hold(scope)
    const data = encodeRecord({ kind: 'claim', claim: { node: this.node, nonce: randomId() } })
    const claim = { from: owner, to: this.node, data, ...(last !== undefined && { last }) }
    const attempt = async () => {
      const claimed = await this.#store.claimCall(scope, callId, claim)
      if (!claimed) return
      if (!this.holds(scope)) await this.hold(scope)
      this.#takeOver({ scope, callId, first: claimed.id, claims: claimed.claims })
    }
    try {
      await attempt()
    } catch (error) {
      // It may have been applied, and then nobody else would run the call. The sweep need not wait for that to be known.
      whileStoreFails(attempt, this.#stopped).catch(() => undefined)
      throw error
    }
  }

  /** Repeats an action until this node leaves. An action that fails is tried again when its time comes. */
  async #repeat(action: () => Promise<void>, pause: () => Promise<void>) {
    while (!this.#stopped.signal.aborted) {
      try {
        await action()
      } catch (error) {
        this.#settledAt = Date.now() + SETTLE_MS
        this.#logger.debug({ error }, 'the store is away; other nodes are not judged for a while')
      }
      await pause()
    }
  }

  async #pause(ms: number) {
    await sleepFor(ms, { signal: this.#stopped.signal, ref: false })
  }

  /** A node that leaves says so, and is looked at without delay. */
  async #pauseOrLeaving(ms: number) {
    const left = new Promise<void>((resolve) => (this.#onLeft = resolve))
    await Promise.race([this.#pause(ms), left])
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, order: Math.random() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ item }) => item)
}
