import type { NodeBeat } from '../store/membership.js'
import { ASLEEP, isParked, NOBODY } from '../store/takeover.js'
import type { OpenCall, TakeoverStore } from '../store/takeover.js'
import type { Claims } from './claims.js'
import { lateAfterMs } from './lease.js'
import type { Membership } from './membership.js'

/** Of what is parked. `waiting`: what waits for its client. `all`: also what sleeps, since something was left for it. */
export type ClaimedParked = 'none' | 'waiting' | 'all'

/**
 * Open calls of other nodes, or of nobody, for which somebody waits. An owner may have died between opening one and holding its scope,
 * and then no list leads to it.
 */
export class AwaitedCalls {
  readonly #store: TakeoverStore
  readonly #membership: Membership
  readonly #claims: Claims
  /** Their scopes, and since when somebody waits, by `performance.now()`. */
  readonly #since = new Map<string, number>()

  constructor(store: TakeoverStore, membership: Membership, claims: Claims) {
    this.#store = store
    this.#membership = membership
    this.#claims = claims
  }

  /** Looks now, and again when every owner that lives has beaten since. What is parked is claimed at once, as far as is said. */
  async rescue(scope: string, claims: ClaimedParked = 'waiting') {
    if (!this.#since.has(scope)) this.#since.set(scope, performance.now())
    const calls = await this.#callsOfOthers(scope)
    const isClaimed = (owner: string) =>
      (owner === NOBODY && claims !== 'none') || (owner === ASLEEP && claims === 'all')
    const parked = calls.filter(({ owner }) => isClaimed(owner))
    for (const call of parked) await this.#claims.claim(scope, call)
    const owned = calls.filter(({ owner }) => !isParked(owner))
    if (owned.length === 0) this.#since.delete(scope)
    else await this.#claimAbandoned(scope, owned, await this.#membership.nodes())
  }

  async lookAgain(nodes: readonly NodeBeat[]) {
    const { leaseMs } = this.#membership.lease
    const due = [...this.#since].filter(([, since]) => performance.now() - since >= leaseMs)
    const looks = due.map(async ([scope]) => {
      const isOver = await this.#claimAbandoned(scope, await this.#callsOfOthers(scope), nodes)
      if (isOver) this.#since.delete(scope)
    })
    // What can't be looked at now is looked at by the next sweep.
    await Promise.allSettled(looks)
  }

  async #callsOfOthers(scope: string) {
    const open = await this.#store.listOpenCalls(scope)
    return open.filter(({ owner }) => owner !== this.#membership.node)
  }

  /** Claims those calls whose owner is nowhere to be found. False: of some it can't be told now. */
  async #claimAbandoned(scope: string, calls: readonly OpenCall[], nodes: readonly NodeBeat[]) {
    const late = new Map(nodes.map(({ node, lateMs }) => [node, lateMs]))
    // A list without this node was lost, and with it all who have not beaten since.
    if (!late.has(this.#membership.node) || !this.#membership.mayJudge()) return false
    const owned = calls.filter(({ owner }) => !isParked(owner))
    for (const call of owned) if (!late.has(call.owner)) await this.#claims.claim(scope, call)
    return owned.every(({ owner }) => (late.get(owner) ?? 0) < lateAfterMs(this.#membership.lease))
  }
}
