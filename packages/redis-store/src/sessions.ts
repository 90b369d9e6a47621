import { randomUUID } from 'node:crypto'
import type {
  Forgotten,
  HistoryPage,
  HistoryStore,
  NewCall,
  NewSession,
  SessionLimits,
} from '@mcp-durable/core/store'
import { StoreError } from '@mcp-durable/core/store'
import { runWithKeys } from './asking.js'
import type { Deadline } from './deadline.js'
import * as replies from './replies.js'
import * as scripts from './scripts.generated.js'
import { Takeover } from './takeover.js'
import { expiry } from './values-and-maps.js'

/** How long a repeated nonce is recognised, in ms. */
export const NONCE_MS = 60_000
/** How many sessions are looked at to end one that is not in use. */
const MOST_EVICTABLE = 64
/** How many words to watchers are kept, where there is no pub/sub. */
const MOST_NEWS = 256
/** How many journals of ended calls one script deletes. */
const ENDED_AT_ONCE = 1000

/** Sessions: how they begin, are found, last and go, with all that is theirs. */
export class Sessions extends Takeover implements HistoryStore {
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
    const keys = [...this.keys.core(scope), ...callIds.flatMap((callId) => this.keys.call(scope, callId))]
    const alive = replies.decodeAlive(await this.client.run(scripts.keepAlive, keys, args))
    if (!alive?.moved) return
    if (alive.isSession) this.refresh(scope, alive.principal, ttlMs)
    else if (alive.principal !== undefined) {
      const listing = this.calls.begun(scope, alive.principal, ttlMs, this.client.deadline())
      listing.catch(() => undefined)
    }
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
    const once = this.keys.once(scope, randomUUID())
    const keys = [...this.keys.core(scope), once, this.keys.marks(scope), this.keys.ended(scope)]
    const left = await this.#runWithKeys(scope, scripts.deleteSession, keys, args, deadline)
    if (left === null) return 'unknown'
    if (Number(left) < 0) return 'used'
    await this.#sayDeleted(scope)
    // The session is gone, and nothing of it can be read any more. What can't be deleted now expires.
    const dropped = Number(left) > 0 ? this.#dropEnded(scope, deadline) : undefined
    await Promise.allSettled([dropped, this.index.remove(scope, principal, deadline)])
    return 'deleted'
  }

  /** In steps that hold up nobody for long. */
  async #dropEnded(scope: string, deadline: Deadline) {
    const keys = [this.keys.session(scope), this.keys.ended(scope)]
    const drop = () => this.#runWithKeys(scope, scripts.dropEnded, keys, [ENDED_AT_ONCE], deadline)
    while (Number(await drop()) > 0);
  }

  #runWithKeys(
    scope: string,
    script: scripts.Script,
    keys: string[],
    args: (string | number)[],
    deadline = this.client.deadline(),
  ) {
    return runWithKeys(this.keys.session(scope), deadline, (found) =>
      this.client.run(script, [...keys, ...found], args, deadline),
    )
  }

  async history(scope: string, { from, to, after, limit }: HistoryPage) {
    const first = after === undefined ? String(from ?? '-') : `(${after}`
    const args = [first, String(to ?? '+'), Math.max(1, limit)]
    return replies.decodeHistory(await this.client.run(scripts.readHistory, [this.keys.history(scope)], args))
  }

  /** What names a scope goes last, when nothing of it is left. */
  async forget(what: { scope: string } | { principal: string }) {
    const total = { sessions: 0, calls: 0, entries: 0 }
    if ('scope' in what) {
      const { scope } = what
      const { principal, ...forgotten } = await this.#forget(scope)
      await this.index.forget(scope, principal)
      if (principal !== undefined) await this.calls.forget([scope], principal)
      return forgotten
    }
    const { principal } = what
    for (const scope of await this.index.of(principal)) {
      add(total, await this.#forget(scope))
      await this.index.forget(scope, principal)
    }
    for await (const scopes of this.calls.of(principal)) {
      const forgotten = await Promise.all(scopes.map((scope) => this.#forget(scope)))
      for (const one of forgotten) add(total, one)
      // One that is just being opened is not there yet, and goes on being named.
      const found = scopes.filter((_, i) => forgotten[i]?.principal !== undefined)
      await this.calls.forget(found, principal)
    }
    return total
  }

  /** `principal`: whose it was, if it was there and somebody's. */
  async #forget(scope: string): Promise<Forgotten & { principal: string | undefined }> {
    const once = this.keys.once(scope, randomUUID())
    const keys = [...this.keys.core(scope), this.keys.history(scope), once, this.keys.marks(scope)]
    keys.push(this.keys.ended(scope))
    const reply = await this.#runWithKeys(scope, scripts.forgetSession, keys, [NONCE_MS, ENDED_AT_ONCE])
    const [sessions, journals, entries, whose, left] = reply as [number, number, number, string, number]
    await this.#sayDeleted(scope)
    const calls = journals + (left > 0 ? await this.#forgetEnded(scope) : 0)
    const principal = whose === '' ? undefined : replies.decodeName(whose)
    return { sessions, calls, entries, principal }
  }

  async publish(scope: string, topic: string, value: string) {
    const deadline = this.client.deadline()
    await this.client.findWay(deadline)
    const news = `${topic} ${value}`
    if (this.client.wakeUps.way === 'polled')
      await this.client.run(
        scripts.publishNews,
        [this.keys.news(scope)],
        [news, MOST_NEWS, NONCE_MS],
        deadline,
      )
    else await this.client.run(scripts.publish, [this.keys.session(scope)], [news], deadline)
  }

  /** Of a scope by its key; with the id of the last one. */
  protected async readNews(key: string, after = '') {
    const reply = await this.client.run(scripts.readNews, [`${key}:once:news`], [after])
    const [last = '', ...news] = reply as string[]
    return { last, news }
  }

  /** The script that deletes has told them, where there is pub/sub. */
  async #sayDeleted(scope: string) {
    if (this.client.wakeUps.way === 'polled') await this.publish(scope, 'deleted', '')
  }

  /** In steps that hold up nobody for long; the session is gone by then. Resolves to how many journals there were. */
  async #forgetEnded(scope: string) {
    let journals = 0
    for (let left = 1; left > 0;) {
      const keys = [this.keys.session(scope), this.keys.once(scope, randomUUID()), this.keys.ended(scope)]
      const reply = await this.#runWithKeys(scope, scripts.forgetEnded, keys, [NONCE_MS, ENDED_AT_ONCE])
      const [rest, deleted] = reply as [number, number]
      left = rest
      journals += deleted
    }
    return journals
  }

  /**
   * Opens a call that belongs to no session. Its principal's list has it first: the two are sent together, so it costs no
   * round trip, and where one server has both, a node that dies in between leaves a name without a call.
   * `limit`: the principal has as many open calls as it may.
   */
  protected async listed(
    { scope, principal, ttlMs, begins }: NewCall,
    open: () => Promise<unknown>,
  ): Promise<unknown> {
    if (principal === undefined) return open()
    const whose = { principal, ttlMs, most: begins?.maxPerPrincipal }
    const deadline = this.client.deadline()
    if (this.calls.isFull(principal) && !(await this.calls.hasRoom(scope, whose, deadline))) return 'limit'
    const listing = this.calls.begins(scope, whose, deadline)
    const [listed, opened] = await Promise.allSettled([listing, open()])
    if (opened.status === 'rejected') throw opened.reason
    // Whoever opens it must take it back: nobody would find it.
    if (listed.status === 'rejected')
      throw new StoreError('store-timeout', 'The call was opened, and could not be listed.', {
        cause: listed.reason,
      })
    return opened.value
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

function add(sum: Forgotten, more: Forgotten) {
  for (const name of ['sessions', 'calls', 'entries'] as const) sum[name] += more[name]
}
