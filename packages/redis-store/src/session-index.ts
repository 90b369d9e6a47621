import type { Client } from './client.js'
import type { Deadline } from './deadline.js'
import type { Keys } from './keys.js'
import { lasting, ScopeIndex } from './scope-index.js'

/** How long the place of a session that is being created is kept, should its creation never be confirmed. */
const RESERVED_MS = 15_000
const PAGE = 500

/**
 * Which sessions there are, of all and of each principal. In a Cluster the indexes live in other slots than the
 * sessions, so they are only nearly in step: they may name a session that is gone, never lack one that is there.
 */
export class SessionIndex {
  readonly #client: Client
  readonly #keys: Keys
  readonly #index: ScopeIndex

  constructor(client: Client, keys: Keys) {
    this.#client = client
    this.#keys = keys
    this.#index = new ScopeIndex(client)
  }

  /** Before a session is created. False when the principal has `most` already. */
  async reserve(id: string, principal: string | undefined, ttlMs: number, most: number, deadline: Deadline) {
    const index = this.#index
    const everyone = index.add(this.#keys.sessions(), { id, ms: lasting(ttlMs), how: 'GT' }, deadline)
    if (principal === undefined) return everyone
    const place = { id, ms: Math.min(RESERVED_MS, lasting(ttlMs)), most, how: 'GT' } as const
    const [, reserved] = await Promise.all([
      everyone,
      index.add(this.#keys.principal(principal), place, deadline),
    ])
    if (!reserved) await index.remove(this.#keys.sessions(), [id], deadline)
    return reserved
  }

  /** After it was created. Until then a node that dies takes no place away from the principal for long. */
  async confirm(id: string, principal: string | undefined, ttlMs: number, deadline: Deadline) {
    if (principal === undefined) return
    const place = { id, ms: lasting(ttlMs), how: 'GT' } as const
    await this.#index.add(this.#keys.principal(principal), place, deadline)
  }

  /** In the background: nobody waits for it, and the next one repairs what this one fails to do. */
  refresh(id: string, principal: string | undefined, ttlMs: number) {
    const deadline = this.#client.deadline()
    const ms = lasting(ttlMs)
    const updates = [this.#index.add(this.#keys.sessions(), { id, ms, how: 'CH' }, deadline)]
    if (principal !== undefined) {
      // It may be deleted meanwhile, and must not take a place again.
      updates.push(this.#index.add(this.#keys.principal(principal), { id, ms, how: 'XX' }, deadline))
    }
    for (const update of updates) update.catch(() => undefined)
  }

  async remove(id: string, principal: string | undefined, deadline: Deadline) {
    const everyone = this.#keys.sessions()
    const indexes = principal === undefined ? [everyone] : [everyone, this.#keys.principal(principal)]
    await Promise.all(indexes.map((index) => this.#index.remove(index, [id], deadline)))
  }

  async removeFromPrincipal(id: string, principal: string | undefined, deadline: Deadline) {
    if (principal !== undefined) await this.#index.remove(this.#keys.principal(principal), [id], deadline)
  }

  /** A history is kept of it, for so long. */
  async keep(id: string, principal: string | undefined, keepMs: number) {
    if (principal === undefined) return
    const place = { id, ms: lasting(keepMs), how: 'GT' } as const
    await this.#index.add(this.#keys.kept(principal), place, this.#client.deadline())
  }

  /** A scope of the principal that holds values alone is used, or is about to be made. False when there are `most` already. */
  async holdsValues(
    id: string,
    { principal, ttlMs }: { principal: string | undefined; ttlMs: number },
    deadline: Deadline,
    most?: number,
  ): Promise<boolean> {
    if (principal === undefined) return true
    const place = { id, ms: lasting(ttlMs), how: 'GT', ...(most !== undefined && { most }) } as const
    return this.#index.add(this.#keys.values(principal), place, deadline)
  }

  /** In the background, as `refresh`. */
  refreshValues(id: string, { principal, ttlMs }: { principal: string | undefined; ttlMs: number }) {
    if (principal === undefined) return
    const place = { id, ms: lasting(ttlMs), how: 'XX' } as const
    this.#index.add(this.#keys.values(principal), place, this.#client.deadline()).catch(() => undefined)
  }

  /** Sessions of a principal, those of which there is only a history too, and scopes that hold values alone. */
  async of(principal: string): Promise<string[]> {
    const ids = new Set<string>()
    const indexes = [
      this.#keys.principal(principal),
      this.#keys.kept(principal),
      this.#keys.values(principal),
    ]
    for (const index of indexes)
      for await (const page of this.#index.pages(index, PAGE)) for (const id of page) ids.add(id)
    return [...ids]
  }

  /** Those that were used longest ago, nearly: an entry is moved when a twentieth of its time to live has passed. */
  async oldest(principal: string | undefined, most: number, deadline: Deadline): Promise<string[]> {
    if (principal === undefined) return []
    return (await this.#index.page(this.#keys.principal(principal), undefined, most, deadline)).ids
  }

  async forget(id: string, principal: string | undefined) {
    const deadline = this.#client.deadline()
    const others = principal === undefined ? [] : [this.#keys.kept(principal), this.#keys.values(principal)]
    const removals = others.map((index) => this.#index.remove(index, [id], deadline))
    await Promise.all([this.remove(id, principal, deadline), ...removals])
  }

  page(cursor: string | undefined, limit: number) {
    return this.#index.page(this.#keys.sessions(), cursor, limit)
  }
}
