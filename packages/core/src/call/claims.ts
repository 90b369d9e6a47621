import { randomId } from '../ids.js'
import { whileStoreFails } from '../store/retry.js'
import type { EntryId } from '../store/store.js'
import type { OpenCall, TakeoverStore } from '../store/takeover.js'
import type { Membership } from './membership.js'
import { encodeRecord } from './record.js'

/** A call that is this node's now. `first`: the entry that says so. `claims`: how many there have been, without those given back. */
export type Claimed = { scope: string; callId: string; first: EntryId; claims: number }

/** How calls of other nodes become this node's. Of several nodes that claim a call, one gets it. */
export class Claims {
  readonly #store: TakeoverStore
  readonly #membership: Membership
  readonly #onClaimed: (claimed: Claimed) => Promise<void>
  /** Calls of which it is not known whether they are this node's, by their ids, and why not. */
  readonly #unsure = new Map<string, unknown>()

  /** `onClaimed`: begins to run it; never rejects. */
  constructor(store: TakeoverStore, membership: Membership, onClaimed: (claimed: Claimed) => Promise<void>) {
    this.#store = store
    this.#membership = membership
    this.#onClaimed = onClaimed
  }

  /**
   * `last`: only while this entry stands last in the journal. Rejects if it is not known what came of it; it is tried on.
   * `undefined`: it is not this node's. `running` resolves when it runs, or will not.
   */
  async claim(
    scope: string,
    { callId, owner }: OpenCall,
    last?: EntryId,
  ): Promise<{ running: Promise<void> } | undefined> {
    const { node, version, background } = this.#membership
    if (background.isOver) return undefined
    if (this.#unsure.has(callId)) throw this.#unsure.get(callId)
    await this.#membership.hold(scope)
    const data = encodeRecord({
      kind: 'claim',
      claim: { node, nonce: randomId(), ...(version !== undefined && { version }) },
    })
    const claim = { from: owner, to: node, data, ...(last !== undefined && { last }) }
    const attempt = async () => {
      const claimed = await this.#store.claimCall(scope, callId, claim)
      if (!claimed) return undefined
      if (!this.#membership.holds(scope)) await this.#membership.hold(scope)
      return { running: this.#onClaimed({ scope, callId, first: claimed.id, claims: claimed.claims }) }
    }
    try {
      return await attempt()
    } catch (error) {
      // It may have been applied, and then nobody else would run the call. The sweep need not wait for that to be known.
      this.#unsure.set(callId, error)
      const known = () => this.#unsure.delete(callId)
      whileStoreFails(attempt, background).then(known, known)
      throw error
    }
  }

  /** A call became this node's by another way. Never rejects. */
  claimed(claimed: Claimed): Promise<void> {
    return this.#onClaimed(claimed)
  }

  async claimAllOf(owner: string, scope: string) {
    const open = await this.#store.listOpenCalls(scope)
    for (const call of open.filter((each) => each.owner === owner)) await this.claim(scope, call)
  }
}
