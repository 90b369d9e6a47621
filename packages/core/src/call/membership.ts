import { randomId } from '../ids.js'
import type { Logger } from '../logger.js'
import type { MembershipStore, NodeBeat } from '../store/membership.js'
import type { Store } from '../store/store.js'
import { encodeAbout, isWorkerAmong } from './about-node.js'
import type { AboutNode } from './about-node.js'
import { Background } from './background.js'
import { Heartbeat } from './heartbeat.js'
import { HeldScopes } from './held-scopes.js'
import type { Lease } from './lease.js'
import { isListening } from './liveness.js'
import { ALL_NODES, channelOf } from './node-channels.js'
import { OtherServers } from './other-servers.js'

/**
 * This node among the others: it beats, and holds the scopes in which it may own calls.
 *
 * Invariant: a scope is held before a call is opened or claimed in it, is still held before the call is run, and is
 * released only when none is left; so every call of a dead node is found.
 */
export class Membership {
  readonly node = randomId()
  readonly lease: Lease
  /** Of its code. */
  readonly version: string | undefined
  /** What this node does on its own; over once it leaves. */
  readonly background: Background
  readonly #store: MembershipStore & Pick<Store, 'watch' | 'publish'>
  readonly #logger: Logger
  readonly #heartbeat: Heartbeat
  readonly #held: HeldScopes
  readonly #otherServers: OtherServers
  readonly startedAt = Date.now()
  /** Told of the others each time that they were looked at. */
  onNodes: (others: readonly NodeBeat[]) => void = () => undefined
  /** By its own account. */
  #isListening = false
  #server: string | undefined
  readonly #onlyServes: boolean
  /** By the last look at the others. */
  #isWorkerThere = false
  #isDraining = false

  /** `onDoubt`: others may have taken this node for dead, and its calls over. */
  constructor(
    store: MembershipStore & Pick<Store, 'watch' | 'publish'>,
    lease: Lease,
    logger: Logger,
    onDoubt: () => void,
    about: Pick<AboutNode, 'history' | 'quotas' | 'role' | 'version' | 'sealKeys'> = {},
  ) {
    this.lease = lease
    this.version = about.version
    this.#onlyServes = about.role === 'serve'
    this.background = new Background(logger)
    this.#store = store
    this.#logger = logger
    this.#held = new HeldScopes(store, this.node)
    this.#otherServers = new OtherServers(logger)
    const send = () =>
      store.beat(this.node, encodeAbout({ startedAt: this.startedAt, server: this.#server, ...about }))
    this.#heartbeat = new Heartbeat(send, lease, async () => {
      await this.#held.holdAgain()
      onDoubt()
    })
  }

  start() {
    const { heartbeatMs, sweepMs } = this.lease
    const listens = this.background.watch(this.#store, channelOf(this.node), () => undefined, sweepMs)
    void listens.then(() => (this.#isListening = true))
    void this.background.repeat(
      () => this.#heartbeat.beat(),
      () => this.background.pause(heartbeatMs),
      (error) => this.storeIsAway(error),
    )
  }

  /** Leaves: the others may claim what this node owns at once. */
  async leave() {
    this.background.end()
    this.#held.end()
    await this.#store.leave(this.node)
    await this.#store.publish(ALL_NODES, 'left', this.node)
  }

  /** What this node serves, as soon as that is known. */
  serves(server: string) {
    this.#server = server
  }

  /** How many scopes are held. */
  get heldScopes(): number {
    return this.#held.size
  }

  /** True when others would find a call of this node in the scope; else `hold` sees to that. */
  holds(scope: string): boolean {
    return this.#heartbeat.isSure && this.#held.has(scope)
  }

  /** Nobody has taken this node for dead. */
  get isSure(): boolean {
    return this.#heartbeat.isKnown
  }

  /** Resolves when others would find a call of this node in the scope. Where nobody has taken it for dead, that is sent at once. */
  async hold(scope: string): Promise<void> {
    if (!this.isSure) {
      try {
        await this.#heartbeat.makeSure()
      } catch (error) {
        if (this.holds(scope)) return
        throw error
      }
    }
    if (!this.holds(scope)) await this.#held.hold(scope)
  }

  /** Nothing is to be run in the scope any more, ever. */
  releaseSoon(scope: string) {
    this.#held.releaseSoon(scope, Number.POSITIVE_INFINITY)
  }

  /** Nothing of the scope is this node's, unless it claims it again from now on. */
  releaseParked(scope: string) {
    this.#held.releaseSoon(scope, Date.now() - 1)
  }

  /** Lets go of scopes in which this node has nothing to run, and was not just about to. */
  releaseUnused(isUsed: (scope: string) => boolean) {
    this.#held.releaseUnused(isUsed)
  }

  /** Every node that the store knows, this one as well. */
  async nodes(): Promise<NodeBeat[]> {
    const nodes = await this.#store.listNodes()
    const others = nodes.filter(({ node }) => node !== this.node)
    this.#isWorkerThere = isWorkerAmong(others, this.lease.leaseMs)
    this.onNodes(others)
    if (this.#server !== undefined) this.#otherServers.tell(this.#server, others, this.lease.leaseMs)
    return nodes
  }

  /** From now on what other nodes may run as well is left to them. */
  drain() {
    this.#isDraining = true
  }

  get isDraining() {
    return this.#isDraining
  }

  /** Whether what other nodes may run as well is left to them: this one only serves, and there is one that works; or it is drained. */
  get leavesCalls(): boolean {
    return this.#isDraining || (this.#onlyServes && this.#isWorkerThere)
  }

  /** Whether the lateness of other nodes means anything now. */
  mayJudge(): boolean {
    return this.#heartbeat.mayJudge()
  }

  /** Everybody seems late then, for as long. */
  storeIsAway(error: unknown) {
    this.#heartbeat.waitToJudge()
    this.#logger.debug({ error }, 'the store is away; other nodes are not judged for a while')
  }

  /** How the store sees this node. Throws a `StoreError` while it is away. */
  async seen(): Promise<{ beating: boolean; listening: boolean }> {
    const [nodes, isWatched] = await Promise.all([
      this.#store.listNodes(),
      isListening(this.#store, this.node),
    ])
    const own = nodes.find(({ node }) => node === this.node)
    return {
      beating: own !== undefined && own.lateMs < this.lease.leaseMs,
      listening: isWatched ?? this.#isListening,
    }
  }
}
