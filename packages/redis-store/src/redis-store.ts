import { randomUUID } from 'node:crypto'
import type {
  AppendOptions,
  CallAppended,
  CloseCall,
  Entry,
  EntryId,
  LogName,
  NewCall,
  NewEntry,
  NewSession,
  QuietlyAppended,
} from '@mcp-durable/core/store'
import { BEGINNING, compareIds, OLDEST, StoreError } from '@mcp-durable/core/store'
import type {
  HistoryPage,
  Keeping,
  SessionLimits,
  SharedLog,
  Store,
  StoreOptions,
  ValueChange,
  WatchListener,
} from '@mcp-durable/core/store'
import { Client } from './client.js'
import type { Added } from './client.js'
import { checkClient, checkOptions } from './check-options.js'
import type { RedisStoreOptions } from './check-options.js'
import type { Deadline } from './deadline.js'
import { Keys, prefixOf } from './keys.js'
import { QuietAppends } from './quiet-appends.js'
import type { QuietAppend } from './quiet-appends.js'
import type { RedisLike } from './redis-like.js'
import * as replies from './replies.js'
import { describeRisks } from './risks.js'
import * as scripts from './scripts.generated.js'
import { SessionIndex } from './session-index.js'
import { Subscriber } from './subscriber.js'
import { Takeover } from './takeover.js'

/** How long a repeated nonce is recognised, in ms. */
const NONCE_MS = 60_000
/** How many sessions are looked at to end one that is not in use. */
const MOST_EVICTABLE = 64
/** How many journals of ended calls one script deletes. */
const ENDED_AT_ONCE = 1000
const ENTRY_ID = /^(0|[1-9]\d{0,18})-(0|[1-9]\d{0,18})$/

/**
 * A store in Redis 7.0 or newer (or Valkey 8): a single server, Sentinel, or Cluster.
 *
 * `client` is an ioredis `Redis` or `Cluster` of the application, which also closes it. The store makes one more
 * connection like it, for wake-ups, which `close()` ends. Redis must not evict keys (`maxmemory-policy noeviction`). Throws a
 * `TypeError` for what is no client, or no option.
 */
export function redisStore(client: RedisLike, options: RedisStoreOptions = {}): Store {
  checkClient(client)
  checkOptions(options)
  const { prefix = 'mcp', deadlineMs = 5000 } = options
  return new RedisStore({ redis: client, prefix, deadlineMs }, {})
}

type Place = { redis: RedisLike; prefix: string; deadlineMs: number }

class RedisStore extends Takeover implements Store {
  readonly #place: Place
  readonly #options: StoreOptions
  readonly #index: SessionIndex
  readonly #subscriber: Subscriber
  readonly #quietAppends: QuietAppends
  readonly #keeping: Keeping | undefined

  constructor(place: Place, options: StoreOptions) {
    const { redis, prefix, deadlineMs } = place
    super(new Client(redis, deadlineMs), new Keys(prefixOf(prefix, options.name)), options.keeping)
    this.#place = place
    this.#options = options
    this.#index = new SessionIndex(this.client, this.keys)
    this.#subscriber = new Subscriber(redis)
    this.#quietAppends = new QuietAppends({
      together: (appends) => this.#appendTogether(appends),
      alone: (append) => this.#appendAlone(append),
      isSpread: redis.isCluster,
    })
    this.#keeping = options.keeping
  }

  open({ name = this.#options.name, keeping = this.#options.keeping }: StoreOptions): Store {
    return new RedisStore(this.#place, { name, keeping })
  }

  /** The index first: a node that dies in between leaves a name without a session, never a session without a name. */
  async createSession(
    { id, principal, protocolVersion, server, state, ttlMs }: NewSession,
    { maxPerPrincipal, evict = false }: SessionLimits,
  ) {
    const deadline = this.client.deadline()
    const reserve = () => this.#index.reserve(id, principal, ttlMs, maxPerPrincipal, deadline)
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
    if (created === 'foreign') await this.#index.removeFromPrincipal(id, principal, deadline)
    else await this.#index.confirm(id, principal, ttlMs, deadline)
    if (this.#keeping && created !== 'foreign') await this.#index.keep(id, principal, this.#keeping.keepMs)
    return 'created'
  }

  async admit(scope: string, principal: string | undefined, ttlMs: number, server?: string) {
    const args = [replies.encodeName(principal), expiry(ttlMs), replies.encodeName(server)]
    const admitted = replies.decodeAdmitted(await this.client.run(scripts.admit, this.keys.core(scope), args))
    if (admitted?.moved) this.#refresh(scope, principal, ttlMs)
    return admitted?.admission
  }

  async keepAlive(scope: string, callIds: readonly string[], ttlMs: number) {
    const args = [expiry(ttlMs), ...callIds]
    const alive = replies.decodeAlive(await this.client.run(scripts.keepAlive, this.keys.core(scope), args))
    if (alive?.moved) this.#refresh(scope, alive.principal, ttlMs)
  }

  async readSession(scope: string) {
    return replies.decodeSession(await this.client.run(scripts.readSession, [this.keys.session(scope)], []))
  }

  async deleteSession(scope: string, principal: string | undefined, server?: string) {
    return (await this.#delete(scope, { principal, server }, this.client.deadline(), '')) === 'deleted'
  }

  /** Ends sessions of the principal that are not in use, the longest idle first, until there is room for one. */
  async #evictFor(reserve: () => Promise<boolean>, principal: string | undefined, deadline: Deadline) {
    for (const oldest of await this.#index.oldest(principal, MOST_EVICTABLE, deadline)) {
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
    await Promise.allSettled([dropped, this.#index.remove(scope, principal, deadline)])
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
    for (const scope of await this.#index.of(what.principal)) {
      const { sessions, calls, entries } = await this.#forget(scope)
      total.sessions += sessions
      total.calls += calls
      total.entries += entries
      // Last: what names the session goes when nothing of it is left.
      await this.#index.forget(scope, what.principal)
    }
    return total
  }

  async #forget(scope: string) {
    const keys = [...this.keys.core(scope), this.keys.state(scope), this.keys.history(scope)]
    keys.push(this.keys.once(scope, randomUUID()))
    const reply = await this.client.run(scripts.forgetSession, keys, [NONCE_MS])
    const [sessions, open, entries, principal] = reply as [number, number, number, string]
    const calls = open + (await this.#forgetEnded(scope))
    if (principal !== '') await this.#index.forget(scope, replies.decodeName(principal))
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
  #refresh(scope: string, principal: string | undefined, ttlMs: number) {
    this.#index.refresh(scope, principal, ttlMs)
    if (this.#keeping) this.#index.keep(scope, principal, this.#keeping.keepMs).catch(() => undefined)
  }

  async listSessions(cursor: string | undefined, limit: number) {
    return this.#index.page(cursor, limit)
  }

  async putState(
    scope: string,
    { key, data, nonce }: { key: string; data: string; nonce: string },
    { maxKeys }: { maxKeys: number },
  ) {
    const keys = [this.keys.session(scope), this.keys.once(scope, `state:${nonce}`)]
    const reply = await this.write(scripts.putState, scripts.keptPutState, scope, keys, [
      key,
      data,
      nonce,
      maxKeys,
      NONCE_MS,
    ])
    return reply === 'unknown' || reply === 'limit' ? reply : Number(reply)
  }

  async readState(scope: string, after: number) {
    return replies.decodeState(await this.client.run(scripts.readState, [this.keys.session(scope)], [after]))
  }

  async append(scope: string, log: SharedLog, data: string, options: AppendOptions) {
    const { nonce, maxLength, maxBytes = 0, whenFull, answers = '', ifOpen = '', server } = options
    const keys = [this.keys.session(scope), this.keys.log(scope, log), this.keys.once(scope, nonce)]
    const refuses = whenFull === 'refuse' ? 1 : 0
    const of = replies.encodeName(server)
    const args = [data, maxLength, maxBytes, refuses, answers, ifOpen, log, NONCE_MS, of]
    const id = await this.write(scripts.append, scripts.keptAppend, scope, keys, args)
    return id === 'full' ? false : id === null ? undefined : (id as EntryId)
  }

  async expect(scope: string, name: string, { ifOpen = '' } = {}) {
    return Number(await this.client.run(scripts.expect, [this.keys.session(scope)], [name, ifOpen])) === 1
  }

  async read(scope: string, log: LogName, after: EntryId, limit: number, maxBytes = 0) {
    // Cursors come from the wire: what is no id at all is in no log.
    if (after !== OLDEST && !ENTRY_ID.test(after)) return undefined
    const keys = [this.keys.session(scope), this.keys.log(scope, log)]
    return replies.decodeEntries(
      await this.client.run(scripts.read, keys, [after, Math.max(1, limit), maxBytes]),
    )
  }

  async dropLog(scope: string, log: LogName, names: readonly string[] = []) {
    await this.client.run(
      scripts.dropLog,
      [this.keys.session(scope), this.keys.log(scope, log)],
      [log, ...names],
    )
  }

  async saveDelivered(scope: string, id: EntryId) {
    if (id === BEGINNING || !ENTRY_ID.test(id)) return
    await this.client.run(scripts.saveDelivered, [this.keys.session(scope)], [id])
  }

  async openCall(call: NewCall) {
    const {
      scope,
      callId,
      principal,
      owner,
      requestKeys,
      data,
      ttlMs,
      maxOpenCalls,
      maxOpenBytes = '',
    } = call
    const keys = [...this.keys.core(scope), this.keys.log(scope, `call:${callId}`)]
    const [who, of] = [replies.encodeName(principal), replies.encodeName(call.server)]
    const limits = [maxOpenCalls, owner ?? '', of, maxOpenBytes]
    const args = [who, expiry(ttlMs), callId, data, ...limits, ...requestKeys]
    const { opened, moved } = replies.decodeOpened(
      await this.write(scripts.openCall, scripts.keptOpenCall, scope, keys, args),
    )
    if (moved) this.#refresh(scope, principal, ttlMs)
    return opened
  }

  async appendCall(
    scope: string,
    callId: string,
    entries: readonly NewEntry[],
    close?: CloseCall,
    effect?: ValueChange,
  ): Promise<CallAppended> {
    requireAscending(entries)
    const session = this.keys.session(scope)
    const journal = this.keys.log(scope, `call:${callId}`)
    const args = [callId, close ? expiry(close.retainMs) : '', entries.length]
    for (const { id, data, after = 0 } of entries) args.push(id, data, after)
    const how = effect && (effect.data === undefined ? 'delete' : 'set')
    args.push(how ?? '', effect?.key ?? '', effect?.expected ?? 0, effect?.data ?? '')
    const listens = this.#subscriber.listensTo(session)
    args.push(close?.keepKey ? '1' : '', close?.unlessJoined ? '1' : '', listens ? '1' : '')
    args.push(close?.unexpected?.join(' ') ?? '')
    if (close) args.push(...close.requestKeys)
    const keys = [session, journal, `${journal}:in`, this.keys.state(scope)]
    const reply = await this.write(scripts.appendCall, scripts.keptAppendCall, scope, keys, args)
    if (reply !== 'unheard') return reply as CallAppended
    this.#subscriber.tell(session, `call:${callId}`, entries.at(-1)?.id ?? '')
    return 'appended'
  }

  /** The stream itself is the fence; if it refuses, the script of `appendCall` knows why. */
  appendQuietly(scope: string, callId: string, entries: readonly NewEntry[]): Promise<QuietlyAppended> {
    // A history is written for one call at a time.
    return this.#keeping
      ? this.#appendAlone({ scope, callId, entries })
      : this.#quietAppends.append(scope, callId, entries)
  }

  async #appendTogether(appends: readonly QuietAppend[]): Promise<Added[]> {
    const [first] = appends
    if (first && appends.length === 1 && first.entries.length === 1)
      return [await this.client.append(this.#journal(first), first.entries[0]!)]
    const keys: string[] = []
    const args: (string | number)[] = []
    for (const append of appends) {
      const key = this.#journal(append)
      for (const { id, data, after = 0 } of append.entries) {
        keys.push(key)
        args.push(id, data, after)
      }
    }
    return replies.decodeQuietlyAppended(
      keys.length,
      await this.client.run(scripts.appendQuietly, keys, args),
    )
  }

  #journal({ scope, callId }: Pick<QuietAppend, 'scope' | 'callId'>) {
    return this.keys.log(scope, `call:${callId}`)
  }

  #appendAlone({ scope, callId, entries }: Pick<QuietAppend, 'scope' | 'callId' | 'entries'>) {
    return this.appendCall(scope, callId, entries) as Promise<QuietlyAppended>
  }

  async findCalls(scope: string, prefix: string) {
    return (await this.client.run(scripts.findCalls, [this.keys.session(scope)], [prefix])) as string[]
  }

  async watch(scope: string, listener: WatchListener) {
    const deadline = this.client.deadline()
    // Where commands can't be sent, a subscription would only wait for its deadline.
    await this.client.ready(deadline)
    return this.#subscriber.watch(this.keys.session(scope), listener, deadline)
  }

  async publish(scope: string, topic: string, value: string) {
    await this.client.run(scripts.publish, [this.keys.session(scope)], [`${topic} ${value}`])
  }

  /** Asks one server; of a Cluster, that is any of its masters. */
  async findRisks() {
    return describeRisks(await this.client.run(scripts.findRisks, [this.keys.probe()], []))
  }

  async close() {
    this.#subscriber.close()
  }
}

/** Redis takes whole milliseconds, and 0 would delete at once. */
function expiry(ms: number) {
  return Math.max(1, Math.ceil(ms))
}

/** Else Redis would take the first entries of a batch and refuse a later one. */
function requireAscending(entries: readonly Entry[]) {
  for (const [index, { id }] of entries.entries()) {
    const previous = entries[index - 1]
    if (!ENTRY_ID.test(id) || (previous && compareIds(previous.id, id) >= 0)) {
      throw new StoreError('store-failed', 'The ids of a batch must be entry ids that grow.')
    }
  }
}
