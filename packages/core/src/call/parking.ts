import { randomId } from '../ids.js'
import { whileStoreFails } from '../store/retry.js'
import { ASLEEP, NOBODY } from '../store/takeover.js'
import type { DueCall } from '../store/due-calls.js'
import type { Claim, TakeoverStore } from '../store/takeover.js'
import type { Call } from './call.js'
import type { Standing, Wait } from './call-start.js'
import type { DueCalls } from './due-calls.js'
import type { Membership } from './membership.js'
import type { Quotas } from './quotas.js'
import { encodeRecord } from './record.js'

/** To run a call anew costs more than to keep it for so long; and the other nodes look for what is due before it is. */
const SOON_MS = 2000

/**
 * Calls that do nothing but wait, for their client or for a time, are parked: no node owns them, and nothing of them is in memory, until
 * the client comes back and the node that it comes to claims them, or a node finds that their time has come.
 *
 * Invariants: whatever is in the inbox of a parked call was written after it was parked, so that whoever wrote it finds that
 * nobody owns the call. A call with a time to wake is entered among those that are due before it is parked. If nobody claims it, the
 * call goes by its expiry: soon after its client may not answer any more, but never before it was to be woken.
 */
export class Parking {
  readonly #store: TakeoverStore
  readonly #membership: Membership
  readonly #dueCalls: DueCalls
  readonly #quotas: Quotas
  readonly #lasting: { resumeWindowMs: number; sessionTtlMs: number }
  /** Those that are just being parked, which takes as long as the store is away. */
  readonly #parking = new Set<Call>()

  constructor(
    store: TakeoverStore,
    membership: Membership,
    dueCalls: DueCalls,
    quotas: Quotas,
    lasting: { resumeWindowMs: number; sessionTtlMs: number },
  ) {
    this.#store = store
    this.#membership = membership
    this.#dueCalls = dueCalls
    this.#quotas = quotas
    this.#lasting = lasting
  }

  /**
   * The call, if it has waited for its client since `before`, or for nothing but its time since `sleptBefore` (both by
   * `performance.now()`). Never rejects: what can't be parked now is left as it is.
   */
  async park(call: Call, before: number, sleptBefore = before) {
    const { wait } = call
    if (!wait || isSoon(wait) || this.#parking.has(call)) return
    const isDue = wait.since <= (wait.answerBy === undefined ? sleptBefore : before)
    if (!isDue) return
    this.#parking.add(call)
    await this.#park(call, wait).catch(() => undefined)
    this.#parking.delete(call)
  }

  async #park(call: Call, wait: Wait) {
    const { scope, id: callId } = call
    const nonce = randomId()
    const entry = { scope, callId, nonce }
    const giveBackPlaces = await this.#quotas.parking(entry, call.quotas)
    if (wait.wakeAt !== undefined) await this.#dueCalls.enter(entry, wait.wakeAt)
    const data = this.#encode(nonce, wait)
    const to = wait.answerBy === undefined ? ASLEEP : NOBODY
    const ttlMs = this.#ttlMs(wait, call.keptMs)
    const release = (standing: Standing) => this.#release(entry, { to, data, ttlMs, ...standing })
    const isParked = await call.park(wait, release)
    if (isParked) {
      giveBackPlaces()
      this.#membership.releaseParked(scope)
    } else if (wait.wakeAt !== undefined) this.#dueCalls.remove(entry)
  }

  /** False: something has come for the call meanwhile, or it is this node's no longer. */
  async #release({ scope, callId }: DueCall, how: Omit<Claim, 'from' | 'counts'>): Promise<boolean> {
    const { node, background } = this.#membership
    const claim = { from: node, counts: -1, ...how } as const
    const parked = await whileStoreFails(() => this.#store.claimCall(scope, callId, claim), background)
    return parked !== undefined
  }

  #encode(nonce: string, { answerBy, wakeAt }: Wait) {
    const until = { ...(answerBy !== undefined && { answerBy }), ...(wakeAt !== undefined && { wakeAt }) }
    return encodeRecord({ kind: 'parked', parked: { node: this.#membership.node, nonce, ...until } })
  }

  #ttlMs({ answerBy = 0, wakeAt }: Wait, keptMs: number) {
    const { resumeWindowMs, sessionTtlMs } = this.#lasting
    // A client that comes a little too late is told what became of its call.
    const asked = Math.max(keptMs, answerBy - Date.now()) + resumeWindowMs
    // All nodes may be down when it is to be woken.
    return wakeAt === undefined ? asked : Math.max(asked, wakeAt - Date.now() + sessionTtlMs)
  }
}

const isSoon = ({ wakeAt = Number.POSITIVE_INFINITY }: Wait) => wakeAt - Date.now() < SOON_MS
