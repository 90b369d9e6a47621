import { randomUUID } from 'node:crypto'
import type { HistoryPage, HistoryStore, Keeping, NewSession, SessionLimits } from '@mcp-durable/core/store'
import type { Client } from './client.js'
import type { Deadline } from './deadline.js'
import type { Keys } from './keys.js'
import * as replies from './replies.js'
import * as scripts from './scripts.generated.js'
import { SessionIndex } from './session-index.js'
import { Takeover } from './takeover.js'

/** How long a repeated nonce is recognised, in ms. */
export const NONCE_MS = 60_000
/** How many sessions are looked at to end one that is not in use. */
const MOST_EVICTABLE = 64
/** How many journals of ended calls one script deletes. */
const ENDED_AT_ONCE = 1000

/** Sessions: how they begin, are found, last and go, with all that is theirs. */
export class Sessions extends Takeover implements HistoryStore {
  protected readonly index: SessionIndex

  constructor(client: Client, keys: Keys, kept: Keeping | undefined) {
    super(client, keys, kept)
    this.index = new SessionIndex(client, keys)
  }

  /** The index first: a node that dies in between leaves a name without a session, never a session without a name. */
  async createSession(
    { id, principal, protocolVersion, server, state, ttlMs }: NewSession,
    { maxPerPrincipal, evict = false }: SessionLimits,
  ) {
    const deadline = this.client.deadline()
    const reserve = () => this.index.reserve(id, principal, ttlMs, maxPerPrincipal, deadline)
    const reserved = (await reserve()) || (evict && (await this.#evictFor(reserve, principal, deadline)))
    if (!reserved) return 'limit'
    const { key, data } = state
    const [whose, of] = [replies.encodeName(principal), replies.encodeName(server)]
    const args = [whose, protocolVersion, key, data, expiry(ttlMs), of]
    const created = await this.write(
      scripts.createSession,
      scripts.keptCreateSession,
      id,
      [this.keys.session(id)],
      args,
      deadline,
    )
    if (created === 'foreign') await this.index.removeFromPrincipal(id, principal, deadline)
    else await this.index.confirm(id, principal, ttlMs, deadline)
    if (this.kept && created !== 'foreign') await this.index.keep(id, principal, this.kept.keepMs)
    return 'created'
  }

  async admit(scope: string, principal: string | undefined, ttlMs: number, server?: string) {
    const args = [replies.encodeName(principal), expiry(ttlMs), replies.encodeName(server)]
    const admitted = replies.decodeAdmitted(await this.client.run(scripts.admit, this.keys.core(scope), args))
    if (admitted?.moved) this.refresh(scope, principal, ttlMs)
    return admitted?.admission
  }

  async keepAlive(scope: string, callIds: readonly string[], ttlMs: number) {
    const args = [expiry(ttlMs), ...callIds]
    const alive = replies.decodeAlive(await this.client.run(scripts.keepAlive, this.keys.core(scope), args))
    if (alive?.moved) this.refresh(scope, alive.principal, ttlMs)
  }

  async readSession(scope: string) {
    return replies.decodeSession(await this.client.run(scripts.readSession, [this.keys.session(scope)], []))
  }

  async deleteSession(scope: string, principal: string | undefined, server?: string) {
    return (await this.#delete(scope, { principal, server }, this.client.deadline(), '')) === 'deleted'
  }

  /** Ends sessions of the principal that are not in use, the longest idle first, until there is room for one. */
  async #evictFor(reserve: () => Promise<boolean>, principal: string | undefined, deadline: Deadline) {
    for (const oldest of await this.index.oldest(principal, MOST_EVICTABLE, deadline)) {
      const outcome = await this.#delete(oldest, { principal }, deadline, '1')
      // Unknown is one that has just gone, and also one that is about to be created: its place is its own.
      if (outcome === 'deleted' && (await reserve())) return true
    }
    return false
  }

  async #delete(
    scope: string,
    { principal, server }: { principal: string | undefined; server?: string | undefined },
    deadline: Deadline,
    unlessUsed: '' | '1',
  ) {
    const [whose, of] = [replies.encodeName(principal), replies.encodeName(server)]
    const args = [whose, NONCE_MS, ENDED_AT_ONCE, of, unlessUsed]
    // A client that sends it again after a broken connection must hear that it was this one that deleted.
    const keys = [...this.keys.core(scope), this.keys.once(scope, randomUUID())]
    const left = await this.client.run(scripts.deleteSession, keys, args, deadline)
    if (left === null) return 'unknown'
    if (Number(left) < 0) return 'used'
    // The session is gone, and nothing of it can be read any more. What can't be deleted now expires.
    const dropped = Number(left) > 0 ? this.#dropEnded(scope, deadline) : undefined
    await Promise.allSettled([dropped, this.index.remove(scope, principal, deadline)])
    return 'deleted'
  }

  /** In steps that hold up nobody for long. */
  async #dropEnded(scope: string, deadline: Deadline) {
    const drop = () =>
      this.client.run(scripts.dropEnded, [this.keys.session(scope)], [ENDED_AT_ONCE], deadline)
    while (Number(await drop()) > 0);
  }

  async history(scope: string, { from, to, after, limit }: HistoryPage) {
    const first = after === undefined ? String(from ?? '-') : `(${after}`
    const args = [first, String(to ?? '+'), Math.max(1, limit)]
    return replies.decodeHistory(await this.client.run(scripts.readHistory, [this.keys.history(scope)], args))
  }

  async forget(what: { scope: string } | { principal: string }) {
    if ('scope' in what) return this.#forget(what.scope)
    const total = { sessions: 0, calls: 0, entries: 0 }
    for (const scope of await this.index.of(what.principal)) {
      const { sessions, calls, entries } = await this.#forget(scope)
      total.sessions += sessions
      total.calls += calls
      total.entries += entries
      // Last: what names the session goes when nothing of it is left.
      await this.index.forget(scope, what.principal)
    }
    return total
  }

  async #forget(scope: string) {
    const keys = [...this.keys.core(scope), this.keys.state(scope), this.keys.history(scope)]
    keys.push(this.keys.once(scope, randomUUID()))
    const reply = await this.client.run(scripts.forgetSession, keys, [NONCE_MS])
    const [sessions, open, entries, principal] = reply as [number, number, number, string]
    const calls = open + (await this.#forgetEnded(scope))
    if (principal !== '') await this.index.forget(scope, replies.decodeName(principal))
    return { sessions, calls, entries }
  }

  /** In steps that hold up nobody for long; the session is gone by then. Resolves to how many journals there were. */
  async #forgetEnded(scope: string) {
    let journals = 0
    for (let left = 1; left > 0;) {
      const keys = [this.keys.session(scope), this.keys.once(scope, randomUUID())]
      const reply = await this.client.run(scripts.forgetEnded, keys, [NONCE_MS, ENDED_AT_ONCE])
      const [rest, deleted] = reply as [number, number]
      left = rest
      journals += deleted
    }
    return journals
  }

  /** In the background: the session was used, and so are the places that name it. */
  protected refresh(scope: string, principal: string | undefined, ttlMs: number) {
    this.index.refresh(scope, principal, ttlMs)
    if (this.kept) this.index.keep(scope, principal, this.kept.keepMs).catch(() => undefined)
  }

  async listSessions(cursor: string | undefined, limit: number) {
    return this.index.page(cursor, limit)
  }
}

/** Redis takes whole milliseconds, and 0 would delete at once. */
export function expiry(ms: number) {
  return Math.max(1, Math.ceil(ms))
}
