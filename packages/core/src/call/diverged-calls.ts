import { randomId } from '../ids.js'
import type { Divergence } from '../context/divergence.js'
import { whileStoreFails } from '../store/retry.js'
import type { NodeBeat } from '../store/membership.js'
import type { EntryId, Store } from '../store/store.js'
import type { TakeoverStore } from '../store/takeover.js'
import { decodeAbout } from './about-node.js'
import type { Call } from './call.js'
import type { Claimed, Claims } from './claims.js'
import type { Membership } from './membership.js'
import { ALL_NODES } from './node-channels.js'
import { encodeRecord } from './record.js'
import type { CallRecord, Diverged } from './record.js'

type Place = { scope: string; callId: string }
type Candidate = { node: string; version: string | undefined; startedAt: number }
type Parked = { call: Call; divergences: readonly Diverged[] }
/** When by `performance.now()`, and for how long it is not made again. */
type Offer = { at: number; againMs: number }

/** A node that has not taken a call for so long may have missed the word, as one does that has just started; it waits twice as long for the next one. */
const OFFER_AGAIN_MS = 500
const MOST_OFFER_AGAIN_MS = 30_000

/**
 * Whether a node may try a call that did not fit the code of others: one of another version, or that has started since where it has
 * none. Each version, and each node without one, tries it once.
 */
export function mayTry({ node, version, startedAt }: Candidate, divergences: readonly Diverged[]): boolean {
  if (divergences.some((each) => each.node === node)) return false
  if (version !== undefined) return divergences.every((each) => each.version !== version)
  return divergences.every(({ at }) => at < startedAt)
}

/**
 * Calls whose journal does not fit the code here. They stay this node's, which runs nothing of them: they can be cancelled, their time
 * goes on, and who looks for the calls of a dead node finds them. They are offered to nodes that may have the code.
 */
export class DivergedCalls {
  readonly #store: TakeoverStore & Pick<Store, 'publish'>
  readonly #membership: Membership
  readonly #claims: Claims
  readonly #handOn: (place: Place) => Promise<void>
  readonly #parked = new Map<string, Parked>()
  /** Since this node takes part no more: what becomes of them. */
  #letGo: ((call: Call) => void) | undefined
  /** By the ids of the call and the node. */
  readonly #offered = new Map<string, Offer>()
  /** On their way to be parked: their scopes, by their ids. */
  readonly #parking = new Map<string, string>()
  /** That some are to be tried again this node has heard, and may not. */
  readonly #retriedInVain = new Set<string>()

  constructor(
    store: TakeoverStore & Pick<Store, 'publish'>,
    membership: Membership,
    claims: Claims,
    handOn: (place: Place) => Promise<void>,
  ) {
    this.#store = store
    this.#membership = membership
    this.#claims = claims
    this.#handOn = handOn
  }

  /** Scopes in which this node owns such a call. */
  get scopes(): string[] {
    return [...this.#parking.values(), ...[...this.#parked.values()].map(({ call }) => call.scope)]
  }

  mayTryHere(divergences: readonly Diverged[]): boolean {
    const { node, version, startedAt } = this.#membership
    return mayTry({ node, version, startedAt }, divergences)
  }

  /** A call of this node has diverged, and nothing runs it. `heard`: how far its inbox was read. */
  diverged(place: Place, divergence: Divergence, heard: EntryId): Promise<void> {
    const { node, version } = this.#membership
    const about = {
      node,
      nonce: randomId(),
      at: Date.now(),
      heard,
      ...(version !== undefined && { version }),
    }
    return this.#write(place, { kind: 'diverged', diverged: { ...divergence, ...about } })
  }

  /** A claimed call that may not be tried here, though an operator may have asked for it: `isRetried`. The claim does not count. */
  async leave({ scope, callId }: Claimed, isRetried: boolean): Promise<void> {
    const returned = { node: this.#membership.node, nonce: randomId() }
    if (isRetried) this.#retriedInVain.add(callId)
    await this.#write({ scope, callId }, { kind: 'returned', returned }).finally(() =>
      this.#retriedInVain.delete(callId),
    )
  }

  /** Keeps a call whose last record says that nobody runs it, until it ends, fits another node, or an operator has it tried again. */
  park(call: Call, divergences: readonly Diverged[], isRetried: boolean) {
    const { scope, id: callId } = call
    if (this.#letGo) return this.#letGo(call)
    const retry = () => {
      this.#parked.delete(callId)
      call.abandon('An operator has it tried again.')
      this.#handOn({ scope, callId }).catch(() => undefined)
    }
    this.#parked.set(callId, { call, divergences })
    if (isRetried && !this.#retriedInVain.has(callId)) retry()
    else call.whenRetried(retry)
  }

  /** Nothing of it is to be kept beyond its session. */
  has(callId: string) {
    return this.#parked.has(callId)
  }

  /** This node takes part no more: others find them when it has left, or get them at once. */
  letGo({ atOnce = false } = {}) {
    this.#letGo = (call) => {
      call.abandon('Its node leaves.')
      if (atOnce) this.#handOn({ scope: call.scope, callId: call.id }).catch(() => undefined)
    }
    for (const { call } of this.#parked.values()) this.#letGo(call)
    this.#parked.clear()
  }

  /** Tells nodes of calls that they may try. */
  offer(nodes: readonly NodeBeat[]) {
    for (const [offer, { at }] of this.#offered)
      if (performance.now() - at > 2 * MOST_OFFER_AGAIN_MS) this.#offered.delete(offer)
    for (const [callId, parked] of this.#parked) {
      if (parked.call.isOver) this.#parked.delete(callId)
      else this.#offer(parked, nodes)
    }
  }

  /** Another node has offered a call to one that may have the code. */
  heard(value: string) {
    const [scope = '', callId = '', owner = '', last = '', to] = value.split(' ')
    // It is offered again.
    if (to === this.#membership.node)
      this.#claims.claim(scope, { callId, owner }, last).catch(() => undefined)
  }

  #offer({ call, divergences }: Parked, nodes: readonly NodeBeat[]) {
    const { node: own, lease } = this.#membership
    const next = nodes.find(({ node, lateMs, about }) => {
      if (node === own || lateMs >= lease.leaseMs || !this.#mayOffer(`${call.id} ${node}`)) return false
      const { version, startedAt = 0, role } = decodeAbout(about) ?? {}
      return role !== 'serve' && mayTry({ node, version, startedAt }, divergences)
    })
    if (!next || call.last === undefined) return
    const { againMs = OFFER_AGAIN_MS / 2 } = this.#offered.get(`${call.id} ${next.node}`) ?? {}
    this.#offered.set(`${call.id} ${next.node}`, {
      at: performance.now(),
      againMs: Math.min(2 * againMs, MOST_OFFER_AGAIN_MS),
    })
    const offer = [call.scope, call.id, own, call.last, next.node].join(' ')
    this.#store.publish(ALL_NODES, 'diverged', offer).catch(() => undefined)
  }

  #mayOffer(offer: string) {
    const { at, againMs } = this.#offered.get(offer) ?? { at: 0, againMs: 0 }
    return performance.now() - at >= againMs
  }

  /** As the last record, by which nobody runs the call; it is parked when that is read. */
  async #write({ scope, callId }: Place, record: CallRecord) {
    const { node, background } = this.#membership
    this.#parking.set(callId, scope)
    try {
      const claim = { from: node, to: node, data: encodeRecord(record), counts: -1 } as const
      const written = await whileStoreFails(() => this.#store.claimCall(scope, callId, claim), background)
      if (written) await this.#claims.claimed({ scope, callId, first: written.id, claims: written.claims })
    } finally {
      this.#parking.delete(callId)
    }
  }
}
