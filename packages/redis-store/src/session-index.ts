import type { Client } from './client.js'
import type { Deadline } from './deadline.js'
import type { Keys } from './keys.js'
import * as scripts from './scripts.generated.js'

/** How long an entry outlives the expiry it stands for, as a part of the ttl: an update may come late or get lost. */
const SLACK = 0.1
/** How long the place of a session that is being created is kept, should its creation never be confirmed. */
const RESERVED_MS = 15_000
const PAGE = 500

type Add = { id: string; ms: number; most?: number; how: 'CH' | 'GT' | 'XX' }

/**
 * Which sessions there are, of all and of each principal. In a Cluster the indexes live in other slots than the
 * sessions, so they are only nearly in step: they may name a session that is gone, never lack one that is there.
 */
export class SessionIndex {
  readonly #client: Client
  readonly #keys: Keys

  constructor(client: Client, keys: Keys) {
    this.#client = client
    this.#keys = keys
  }

  /** Before a session is created. False when the principal has `most` already. */
  async reserve(id: string, principal: string | undefined, ttlMs: number, most: number, deadline: Deadline) {
    const everyone = this.#add(this.#keys.sessions(), { id, ms: lasting(ttlMs), how: 'GT' }, deadline)
    if (principal === undefined) return everyone
    const place = { id, ms: Math.min(RESERVED_MS, lasting(ttlMs)), most, how: 'GT' } as const
    const [, reserved] = await Promise.all([
      everyone,
      this.#add(this.#keys.principal(principal), place, deadline),
    ])
    if (!reserved) await this.#remove([this.#keys.sessions()], id, deadline)
    return reserved
  }

  /** After it was created. Until then a node that dies takes no place away from the principal for long. */
  async confirm(id: string, principal: string | undefined, ttlMs: number, deadline: Deadline) {
    if (principal === undefined) return
    await this.#add(this.#keys.principal(principal), { id, ms: lasting(ttlMs), how: 'GT' }, deadline)
  }

  /** In the background: nobody waits for it, and the next one repairs what this one fails to do. */
  refresh(id: string, principal: string | undefined, ttlMs: number) {
    const deadline = this.#client.deadline()
    const ms = lasting(ttlMs)
    const updates = [this.#add(this.#keys.sessions(), { id, ms, how: 'CH' }, deadline)]
    if (principal !== undefined) {
      // It may be deleted meanwhile, and must not take a place again.
      updates.push(this.#add(this.#keys.principal(principal), { id, ms, how: 'XX' }, deadline))
    }
    for (const update of updates) update.catch(() => undefined)
  }

  async remove(id: string, principal: string | undefined, deadline: Deadline) {
    const everyone = this.#keys.sessions()
    const indexes = principal === undefined ? [everyone] : [everyone, this.#keys.principal(principal)]
    await this.#remove(indexes, id, deadline)
  }

  async removeFromPrincipal(id: string, principal: string | undefined, deadline: Deadline) {
    if (principal !== undefined) await this.#remove([this.#keys.principal(principal)], id, deadline)
  }

  /** A history is kept of it, for so long. */
  async keep(id: string, principal: string | undefined, keepMs: number) {
    if (principal === undefined) return
    const place = { id, ms: lasting(keepMs), how: 'GT' } as const
    await this.#add(this.#keys.kept(principal), place, this.#client.deadline())
  }

  /** Sessions of a principal, those of which there is only a history too. */
  async of(principal: string): Promise<string[]> {
    const indexes = [this.#keys.principal(principal), this.#keys.kept(principal)]
    const pages = await Promise.all(indexes.map((index) => this.#all(index)))
    return [...new Set(pages.flat())]
  }

  /** Those that were used longest ago, nearly: an entry is moved when a twentieth of its time to live has passed. */
  async oldest(principal: string | undefined, most: number, deadline: Deadline): Promise<string[]> {
    if (principal === undefined) return []
    return (await this.#page(this.#keys.principal(principal), undefined, most, deadline)).ids
  }

  async forget(id: string, principal: string | undefined) {
    const deadline = this.#client.deadline()
    const kept = principal === undefined ? [] : [this.#keys.kept(principal)]
    await Promise.all([this.remove(id, principal, deadline), this.#remove(kept, id, deadline)])
  }

  async #all(index: string): Promise<string[]> {
    const all: string[] = []
    for (let cursor: string | undefined; ;) {
      const page = await this.#page(index, cursor, PAGE)
      all.push(...page.ids)
      cursor = page.cursor
      if (cursor === undefined) return all
    }
  }

  page(cursor: string | undefined, limit: number) {
    return this.#page(this.#keys.sessions(), cursor, limit)
  }

  async #page(index: string, cursor: string | undefined, limit: number, deadline?: Deadline) {
    const from = cursor === undefined ? [] : splitCursor(cursor)
    const reply = await this.#client.run(scripts.indexPage, [index], [limit, ...from], deadline)
    const [score, ...ids] = reply as [string, ...string[]]
    return { ids, cursor: ids.length < limit ? undefined : `${score} ${ids.at(-1)}` }
  }

  async #add(index: string, { id, ms, most, how }: Add, deadline: Deadline) {
    const added = await this.#client.run(scripts.indexAdd, [index], [id, ms, most ?? '', how], deadline)
    return Number(added) === 1
  }

  async #remove(indexes: string[], id: string, deadline: Deadline) {
    await Promise.all(indexes.map((index) => this.#client.run(scripts.indexRemove, [index], [id], deadline)))
  }
}

const lasting = (ttlMs: number) => Math.ceil(ttlMs * (1 + SLACK))

function splitCursor(cursor: string) {
  const space = cursor.indexOf(' ')
  return [cursor.slice(0, space), cursor.slice(space + 1)]
}
