import type { MembershipStore } from '../store/membership.js'
import { startTimer } from '../timers.js'

/** Longer than it takes to open a call in a scope that was just held, with a store that answers within its deadline. */
const RELEASE_AFTER_MS = 60_000
/** Scopes of calls that have ended go together. */
const RELEASE_SOON_MS = 1000
const PAGE = 1000

/** The scopes in which this node may own calls, as the store has them. A node may hold very many. */
export class HeldScopes {
  readonly #store: Pick<MembershipStore, 'hold' | 'release'>
  readonly #node: string
  /** When a scope was last used, or that it is about to be held. */
  readonly #held = new Map<string, number | Promise<void>>()
  /** Scopes to release, unless they were used after the time. */
  #done: [scope: string, until: number][] = []
  #releasing: { end: () => void } | undefined

  constructor(store: Pick<MembershipStore, 'hold' | 'release'>, node: string) {
    this.#store = store
    this.#node = node
  }

  get size(): number {
    return this.#held.size
  }

  /** Asking counts as a use: the scope is not released for a while. */
  has(scope: string): boolean {
    const isHeld = typeof this.#held.get(scope) === 'number'
    if (isHeld) this.#held.set(scope, Date.now())
    return isHeld
  }

  hold(scope: string): Promise<void> {
    const underWay = this.#held.get(scope)
    if (typeof underWay === 'object') return underWay
    const holding = this.#store.hold(this.#node, [scope])
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

  /** Others may have released them. */
  async holdAgain() {
    await this.#inPages([...this.#held.keys()], (page) => this.#store.hold(this.#node, page))
  }

  /**
   * Nothing is left to run in the scope, unless it is used after `until` (ms since 1970). A node that many calls pass through would
   * else hold each for a minute, and whoever takes over from it would look into them all.
   */
  releaseSoon(scope: string, until: number) {
    this.#done.push([scope, until])
    this.#releasing ??= { end: startTimer(RELEASE_SOON_MS, () => this.#releaseDone(), { ref: false }) }
  }

  end() {
    this.#releasing?.end()
  }

  #releaseDone() {
    this.#releasing = undefined
    const done = this.#done
    this.#done = []
    const scopes: string[] = []
    for (const [scope, until] of done) {
      const held = this.#held.get(scope)
      if (typeof held === 'number' && held <= until) scopes.push(scope)
      // It is on its way to be held: for what has ended meanwhile, and goes the next time; or it is used anew.
      if (typeof held === 'object' && until === Number.POSITIVE_INFINITY) this.releaseSoon(scope, until)
    }
    this.#release(scopes)
  }

  releaseUnused(isUsed: (scope: string) => boolean) {
    const before = Date.now() - RELEASE_AFTER_MS
    const scopes: string[] = []
    for (const [scope, held] of this.#held) {
      if (typeof held === 'number' && held < before && !isUsed(scope)) scopes.push(scope)
    }
    this.#release(scopes)
  }

  #release(scopes: readonly string[]) {
    if (scopes.length === 0) return
    for (const scope of scopes) this.#held.delete(scope)
    // What stays held by mistake is found empty by whoever takes this node's calls over.
    this.#inPages(scopes, (page) => this.#store.release(this.#node, page)).catch(() => undefined)
  }

  /** No operation holds up the store for long. All are sent now: what is held again after this is held after it. */
  async #inPages(scopes: readonly string[], act: (page: string[]) => Promise<void>) {
    const acts: Promise<void>[] = []
    for (let from = 0; from < scopes.length; from += PAGE) acts.push(act(scopes.slice(from, from + PAGE)))
    await Promise.all(acts)
  }
}
