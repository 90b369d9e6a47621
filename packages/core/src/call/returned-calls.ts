import { randomId } from '../ids.js'
import { whileStoreFails } from '../store/retry.js'
import type { EntryId, Store } from '../store/store.js'
import type { TakeoverStore } from '../store/takeover.js'
import type { Claimed, Claims } from './claims.js'
import type { Membership } from './membership.js'
import { ALL_NODES } from './node-channels.js'
import { encodeRecord } from './record.js'

/** A call that its owner gives back: others may claim it until something stands behind `last` in its journal. */
type Offer = { scope: string; callId: string; owner: string; last: EntryId }

/** After a call was given back, this node looks again so much later, twice as long each time. Others may be quicker. */
const FIRST_RETRY_MS = 1_000
const MOST_RETRY_MS = 30_000
/** As many nodes as hear of a call that was given back must not all ask for it at once. */
const SPREAD_MS = 100
/** A node that could not run a call lets others go first for so long. */
const UNFIT_MS = 30_000

/** Calls that a node has claimed and can't run, its own and those of others. */
export class ReturnedCalls {
  readonly #store: TakeoverStore & Pick<Store, 'publish'>
  readonly #membership: Membership
  readonly #claims: Claims
  /** Those that this node has given back: when it may claim them again, by `performance.now()`. */
  readonly #returned = new Map<string, { scope: string; tries: number; notBefore: number }>()
  #unfitUntil = Number.NEGATIVE_INFINITY

  constructor(store: TakeoverStore & Pick<Store, 'publish'>, membership: Membership, claims: Claims) {
    this.#store = store
    this.#membership = membership
    this.#claims = claims
  }

  /** Scopes in which this node may still own a call that it has given back. */
  get scopes(): Set<string> {
    this.#forgetOld()
    return new Set([...this.#returned.values()].map(({ scope }) => scope))
  }

  /** Calls of a dead node are left to the others for a moment, while this one can't run some. */
  async letOthersGoFirst() {
    if (performance.now() < this.#unfitUntil) await this.#membership.background.pause(FIRST_RETRY_MS)
  }

  /**
   * Others may claim the call, and so may this node after a while. It stays this node's until then, so whoever looks for
   * the calls of a dead node finds it. `wasTried`: the claim counts as a run.
   */
  async giveBack({ scope, callId }: Pick<Claimed, 'scope' | 'callId'>, { wasTried = false } = {}) {
    const { node, background } = this.#membership
    const tries = (this.#returned.get(callId)?.tries ?? 0) + 1
    const wait = Math.min(FIRST_RETRY_MS * 2 ** (tries - 1), MOST_RETRY_MS) * (0.75 + Math.random() / 2)
    this.#forgetOld()
    this.#returned.set(callId, { scope, tries, notBefore: performance.now() + wait })
    this.#unfitUntil = performance.now() + UNFIT_MS
    const data = encodeRecord({ kind: 'returned', returned: { node, nonce: randomId() } })
    const claim = { from: node, to: node, data, counts: wasTried ? 0 : -1 } as const
    const returned = await whileStoreFails(() => this.#store.claimCall(scope, callId, claim), background)
    if (!returned) return
    const offer: Offer = { scope, callId, owner: node, last: returned.id }
    // Who misses it hears of it when this node has tried again.
    this.#store.publish(ALL_NODES, 'returned', encodeOffer(offer)).catch(() => undefined)
    void this.#claimLater(offer)
  }

  /** Another node has given a call back. */
  heard(value: string) {
    const offer = decodeOffer(value)
    if (offer.owner !== this.#membership.node) void this.#claimLater(offer)
  }

  async #claimLater({ scope, callId, owner, last }: Offer) {
    const now = performance.now()
    const notBefore =
      this.#returned.get(callId)?.notBefore ?? (now < this.#unfitUntil ? now + FIRST_RETRY_MS : now)
    await this.#membership.background.pause(Math.max(0, notBefore - now) + Math.random() * SPREAD_MS)
    if (this.#membership.isDraining) return
    const { background } = this.#membership
    // A claim that fails from there on is tried on; who never came to one would leave the call to nobody.
    await whileStoreFails(() => this.#membership.hold(scope), background).catch(() => undefined)
    await this.#claims.claim(scope, { callId, owner }, last).catch(() => undefined)
  }

  #forgetOld() {
    const before = performance.now() - 4 * MOST_RETRY_MS
    for (const [callId, { notBefore }] of this.#returned)
      if (notBefore < before) this.#returned.delete(callId)
  }
}

const encodeOffer = ({ scope, callId, owner, last }: Offer) => `${scope} ${callId} ${owner} ${last}`

function decodeOffer(value: string): Offer {
  const [scope = '', callId = '', owner = '', last = ''] = value.split(' ')
  return { scope, callId, owner, last }
}
