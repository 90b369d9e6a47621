import { randomId } from '../ids.js'
import { whileStoreFails } from '../store/retry.js'
import type { EntryId, Store } from '../store/store.js'
import type { TakeoverStore } from '../store/takeover.js'
import type { Claimed, Claims } from './claims.js'
import type { Membership } from './membership.js'
import { ALL_NODES } from './node-channels.js'
import { encodeRecord } from './record.js'

type Place = Pick<Claimed, 'scope' | 'callId'>
/** A call that its owner gives back: others may claim it until something stands behind `last` in its journal. */
type Offer = { scope: string; callId: string; owner: string; last: EntryId }

/** `notBefore`: when this node may claim it again, by `performance.now()`. */
type Returned = { scope: string; tries: number; notBefore: number; offer?: Offer }

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
  /** Those that this node has given back, by their ids. */
  readonly #returned = new Map<string, Returned>()
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
   * Others may claim a call that can't be run here, and so may this node after a while. It stays this node's until then, so whoever
   * looks for the calls of a dead node finds it. `wasTried`: the claim counts as a run.
   */
  async giveBack({ scope, callId }: Place, { wasTried = false } = {}) {
    const tries = (this.#returned.get(callId)?.tries ?? 0) + 1
    const wait = Math.min(FIRST_RETRY_MS * 2 ** (tries - 1), MOST_RETRY_MS) * (0.75 + Math.random() / 2)
    this.#forgetOld()
    this.#returned.set(callId, { scope, tries, notBefore: performance.now() + wait })
    this.#unfitUntil = performance.now() + UNFIT_MS
    await this.#offer({ scope, callId }, wasTried)
  }

  /** As `giveBack`, for a parked call that any node may try at once, this one as well; its claim went out of the count as it was parked. */
  async handOn({ scope, callId }: Place) {
    const { tries = 0 } = this.#returned.get(callId) ?? {}
    this.#forgetOld()
    this.#returned.set(callId, { scope, tries, notBefore: performance.now() })
    await this.#offer({ scope, callId }, true)
  }

  async #offer({ scope, callId }: Place, wasTried: boolean) {
    const { node, background } = this.#membership
    const data = encodeRecord({ kind: 'returned', returned: { node, nonce: randomId() } })
    const claim = { from: node, to: node, data, counts: wasTried ? 0 : -1 } as const
    const returned = await whileStoreFails(() => this.#store.claimCall(scope, callId, claim), background)
    if (!returned) return
    const offer: Offer = { scope, callId, owner: node, last: returned.id }
    const noted = this.#returned.get(callId)
    if (noted) noted.offer = offer
    // Who misses it hears of it when this node has tried again.
    this.#publish(offer)
    void this.#claimLater(offer)
  }

  /** A node has just begun to listen, which may have what others lack. What a drained node has given back is not its own again. */
  offerAgain() {
    const now = performance.now()
    for (const { offer, notBefore } of this.#returned.values())
      if (offer && (notBefore > now || this.#membership.isDraining)) this.#publish(offer)
  }

  #publish(offer: Offer) {
    this.#store.publish(ALL_NODES, 'returned', encodeOffer(offer)).catch(() => undefined)
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
    if (this.#membership.isDraining) return
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
