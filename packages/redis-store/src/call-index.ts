import type { Client } from './client.js'
import type { Deadline } from './deadline.js'
import type { Keys } from './keys.js'
import { lasting, ScopeIndex } from './scope-index.js'
import * as scripts from './scripts.generated.js'

const PAGE = 100
/** So long one look at the open calls of a principal that has too many is good for. */
const LOOKED_MS = 10_000
/** Of so many principals it is known whether they have too many. */
const MOST_KNOWN = 10_000

/** `most`: open calls of the principal. */
type Begins = { principal: string; ttlMs: number; most: number | undefined }
/** `isFull`: by its list, when that was seen last. `lookedAt`: when its calls were. */
type Known = { isFull: boolean; lookedAt: number; looking?: Promise<void> }

/**
 * Which calls of a principal belong to no session: the open ones, and those that have ended and are still kept. It may name
 * calls that are gone, never lack one that is there; but for a call that was being opened when its node died, in a Cluster
 * only: it goes by its expiry. Where the open ones seem too many, those that are not open any more are moved to the others.
 */
export class CallIndex {
  readonly #client: Client
  readonly #keys: Keys
  readonly #index: ScopeIndex
  readonly #keepMs: number
  /** Principals that have had as many open calls as they may. */
  readonly #known = new Map<string, Known>()

  /** `keepMs`: what is kept of a call may last so long past its last record. */
  constructor(client: Client, keys: Keys, keepMs = 0) {
    this.#client = client
    this.#keys = keys
    this.#keepMs = keepMs
    this.#index = new ScopeIndex(client)
  }

  /** To be sent before the call is opened, or kept alive for so long. */
  async begun(scope: string, principal: string, ttlMs: number, deadline: Deadline) {
    await this.#index.add(this.#open(principal), this.#listing(scope, ttlMs), deadline)
  }

  /**
   * As `begun`, for a call that is opened at the same time: it is listed even if the principal has as many as it may, which is
   * known from then on.
   */
  async begins(scope: string, whose: Begins, deadline: Deadline) {
    const { principal, ttlMs, most } = whose
    const listing = { ...this.#listing(scope, ttlMs), most, anyway: true }
    this.#note(principal, await this.#index.add(this.#open(principal), listing, deadline))
  }

  isFull(principal: string) {
    return this.#known.get(principal)?.isFull === true
  }

  /** Asked for those that are known to be full, before a call is opened. If there is room, it is listed. */
  async hasRoom(scope: string, { principal, ttlMs, most }: Begins, deadline: Deadline): Promise<boolean> {
    const listing = { ...this.#listing(scope, ttlMs), most }
    const add = async () =>
      this.#note(principal, await this.#index.add(this.#open(principal), listing, deadline))
    if (await add()) return true
    const looking = this.#look(principal)
    if (!looking) return false
    await looking
    return add()
  }

  /** In the background: what is lost leaves a name for longer than it need be there. */
  ended(scope: string, principal: string, retainMs: number) {
    const args = [scope, this.#lasting(retainMs)]
    this.#client.run(scripts.indexMove, this.#keys.calls(principal), args).catch(() => undefined)
  }

  /** By pages: the open ones first, since a call that ends meanwhile is then found among those that have ended. */
  async *of(principal: string): AsyncGenerator<string[], void> {
    for (const index of this.#keys.calls(principal)) yield* this.#index.pages(index, PAGE)
  }

  async forget(scopes: readonly string[], principal: string) {
    const deadline = this.#client.deadline()
    const indexes = this.#keys.calls(principal)
    await Promise.all(indexes.map((index) => this.#index.remove(index, scopes, deadline)))
  }

  #note(principal: string, hasRoom: boolean) {
    const known = this.#known.get(principal)
    if (known) known.isFull = !hasRoom
    else if (!hasRoom) this.#known.set(principal, { isFull: true, lookedAt: Number.NEGATIVE_INFINITY })
    const [oldest] = this.#known.keys()
    if (this.#known.size > MOST_KNOWN && oldest !== undefined) this.#known.delete(oldest)
    return hasRoom
  }

  /**
   * Whether what is listed is open its own server knows. Of what ended or expired the word may have been lost; what was to be
   * opened may have failed. `undefined`: that was looked at not long ago.
   */
  #look(principal: string): Promise<void> | undefined {
    const known = this.#known.get(principal)
    if (!known) return undefined
    const now = performance.now()
    if (!known.looking && now - known.lookedAt < LOOKED_MS) return undefined
    known.lookedAt = now
    known.looking ??= this.#moveEnded(principal).finally(() => delete known.looking)
    return known.looking
  }

  /** They go on being named until they expire: one may be about to be opened. */
  async #moveEnded(principal: string) {
    const indexes = this.#keys.calls(principal)
    const moveUnlessOpen = async (scope: string) => {
      const open = (await this.#client.run(
        scripts.listOpenCalls,
        [this.#keys.session(scope)],
        [],
      )) as string[]
      if (open.length === 0) await this.#client.run(scripts.indexMove, indexes, [scope, ''])
    }
    for await (const scopes of this.#index.pages(this.#open(principal), PAGE))
      await Promise.all(scopes.map(moveUnlessOpen))
  }

  #listing(scope: string, ttlMs: number) {
    return { id: scope, ms: this.#lasting(ttlMs), how: 'GT' } as const
  }

  #lasting(ms: number) {
    return lasting(Math.max(ms, this.#keepMs))
  }

  #open(principal: string) {
    return this.#keys.calls(principal)[0]!
  }
}
