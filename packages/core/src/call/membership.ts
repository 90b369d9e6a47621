import { randomId } from '../ids.js'
import type { Logger } from '../logger.js'
import type { MembershipStore, NodeBeat } from '../store/membership.js'
import type { Store } from '../store/store.js'
import { encodeAbout } from './about-node.js'
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
  /** What this node does on its own; over once it leaves. */
  readonly background: Background
  readonly #store: MembershipStore & Pick<Store, 'watch' | 'publish'>
  readonly #logger: Logger
  readonly #heartbeat: Heartbeat
  readonly #held: HeldScopes
  readonly #otherServers: OtherServers
  readonly #startedAt = Date.now()
  /** By its own account. */
  #isListening = false
  #server: string | undefined

  /** `onDoubt`: others may have taken this node for dead, and its calls over. */
  constructor(
    store: MembershipStore & Pick<Store, 'watch' | 'publish'>,
    lease: Lease,
    logger: Logger,
    onDoubt: () => void,
  ) {
    this.lease = lease
    this.background = new Background(logger)
    this.#store = store
    this.#logger = logger
    this.#held = new HeldScopes(store, this.node)
    this.#otherServers = new OtherServers(logger)
    const send = () =>
      store.beat(this.node, encodeAbout({ startedAt: this.#startedAt, server: this.#server }))
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

  /** Resolves when others would find a call of this node in the scope. */
  async hold(scope: string): Promise<void> {
    try {
      await this.#heartbeat.makeSure()
    } catch (error) {
      if (this.holds(scope)) return
      throw error
    }
    if (!this.holds(scope)) await this.#held.hold(scope)
  }

  /** Lets go of scopes in which this node has nothing to run, and was not just about to. */
  releaseUnused(isUsed: (scope: string) => boolean) {
    this.#held.releaseUnused(isUsed)
  }

  /** Every node that the store knows, this one as well. */
  async nodes(): Promise<NodeBeat[]> {
    const nodes = await this.#store.listNodes()
    const others = nodes.filter(({ node }) => node !== this.node)
    if (this.#server !== undefined) this.#otherServers.tell(this.#server, others, this.lease.leaseMs)
    return nodes
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
