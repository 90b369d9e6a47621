import { randomId } from '../ids.js'
import type { MembershipStore } from '../store/membership.js'
import type { Store } from '../store/store.js'
import type { TakeoverStore } from '../store/takeover.js'
import { encodeAbout } from './about-node.js'
import { ALL_NODES } from './node-channels.js'
import { encodeRecord } from './record.js'
import type { Passed } from './record.js'

type Stores = MembershipStore & TakeoverStore & Pick<Store, 'publish'>

/**
 * A node that runs nothing: it joins the others with one call that none of them owns, and leaves at once, so they take that over. If it
 * dies in between, they find it dead, and the call among what it holds.
 */
export class TransientNode {
  readonly #store: Stores
  readonly #node = randomId()

  constructor(store: Stores) {
    this.#store = store
  }

  /**
   * `owner`: none, or one that no list names. `isNew`: nothing has run of it, so the next run is the first. False: it is not that
   * owner's any more, or has ended.
   */
  async pass(
    { scope, callId }: { scope: string; callId: string },
    owner: string,
    why: Pick<Passed, 'by' | 'action'>,
    { isNew = false } = {},
  ): Promise<boolean> {
    await this.#beat()
    await this.#store.hold(this.#node, [scope])
    try {
      const data = encodeRecord({ kind: 'passed', passed: { node: this.#node, nonce: randomId(), ...why } })
      const claim = { from: owner, to: this.#node, data, counts: isNew ? -1 : 0 } as const
      if (!(await this.#store.claimCall(scope, callId, claim))) return false
      // It listens to nobody, so where it was slow it was found dead with nothing to take over, and is in no list any more.
      await this.#store.hold(this.#node, [scope])
      if (!(await this.#beat())) await this.#store.hold(this.#node, [scope])
      return true
    } finally {
      await this.#store.leave(this.#node)
      // Whoever misses it looks within a second.
      await this.#store.publish(ALL_NODES, 'left', this.#node).catch(() => undefined)
    }
  }

  /** False: the others did not know it, and what it held before they may have released. */
  #beat(): Promise<boolean> {
    return this.#store.beat(this.#node, encodeAbout({ startedAt: Date.now() }))
  }
}
