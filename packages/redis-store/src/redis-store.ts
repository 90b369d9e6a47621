import type {
  AppendOptions,
  CallAppended,
  CloseCall,
  Durability,
  Entry,
  EntryId,
  LogName,
  NewCall,
  NewEntry,
  QuietlyAppended,
} from '@mcp-durable/core/store'
import { BEGINNING, compareIds, OLDEST, StoreError, strongest } from '@mcp-durable/core/store'
import type { SharedLog, Store, StoreOptions, ValueChange, WatchListener } from '@mcp-durable/core/store'
import { runWithKeys } from './asking.js'
import { Client } from './client.js'
import { checkClient, checkOptions } from './check-options.js'
import type { RedisStoreOptions } from './check-options.js'
import { DurableWrites } from './durable-writes.js'
import { Keys, prefixOf } from './keys.js'
import { QuietAppends } from './quiet-appends.js'
import type { QuietAppend } from './quiet-appends.js'
import type { RedisLike } from './redis-like.js'
import * as replies from './replies.js'
import type { Added } from './replies.js'
import { describeRisks } from './risks.js'
import * as scripts from './scripts.generated.js'
import { NONCE_MS, Sessions } from './sessions.js'
import { Subscriber } from './subscriber.js'
import { expiry } from './values-and-maps.js'

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
  const { prefix = 'mcp', deadlineMs = 5000, durability = 'memory', replicas = 1 } = options
  return new RedisStore({ redis: client, prefix, deadlineMs, durability, replicas }, {})
}

type Place = { redis: RedisLike } & Required<RedisStoreOptions>

class RedisStore extends Sessions implements Store {
  readonly #place: Place
  readonly #options: StoreOptions
  readonly #subscriber: Subscriber
  readonly #quietAppends: QuietAppends
  #isFit = false

  constructor(place: Place, options: StoreOptions) {
    const { redis, prefix, deadlineMs, durability, replicas } = place
    const keys = new Keys(prefixOf(prefix, options.name))
    const writes = new DurableWrites(redis, replicas, durability)
    super(new Client(redis, deadlineMs, keys.probe(), writes), keys, options.keeping, durability)
    this.#place = place
    this.#options = options
    this.#subscriber = new Subscriber(redis, (key, after) => this.readNews(key, after))
    this.client.listensBy((key, deadline) => this.#subscriber.tryOut(key, deadline))
    this.#quietAppends = new QuietAppends({
      together: (appends) => this.#appendTogether(appends),
      alone: (append) => this.#appendAlone(append),
      isSpread: redis.isCluster,
    })
  }

  open({ name = this.#options.name, keeping = this.#options.keeping }: StoreOptions): Store {
    return new RedisStore(this.#place, { name, keeping })
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
    const { nonce, maxLength, maxBytes = 0, whenFull, answers = '', ifOpen = '', server, begins } = options
    const keys = [this.keys.session(scope), this.keys.log(scope, log), this.keys.once(scope, nonce)]
    keys.push(this.keys.ended(scope))
    const refuses = whenFull === 'refuse' ? 1 : 0
    const of = replies.encodeName(server)
    const ttl = begins ? expiry(begins.ttlMs) : ''
    const args = [data, maxLength, maxBytes, refuses, answers, ifOpen, log, NONCE_MS, of, ttl]
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
    keys.push(this.keys.endedCall(scope, requestKeys[0]!))
    const [who, of] = [replies.encodeName(principal), replies.encodeName(call.server)]
    const limits = [maxOpenCalls, owner ?? '', of, maxOpenBytes, call.begins?.protocolVersion ?? '']
    const args = [who, expiry(ttlMs), callId, data, ...limits, ...requestKeys]
    const open = () => {
      const deadline = this.client.deadline()
      return runWithKeys(this.keys.session(scope), deadline, (found) =>
        this.write(scripts.openCall, scripts.keptOpenCall, scope, [...keys, ...found], args, deadline),
      )
    }
    const reply = await (call.begins ? this.listed(call, open) : open())
    if (reply === 'limit') return { status: reply } as const
    const { opened, moved } = replies.decodeOpened(reply)
    if (moved && !call.begins) this.refresh(scope, principal, ttlMs)
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
    const keys = [session, ...this.keys.call(scope, callId), this.keys.state(scope)]
    if (close) keys.push(this.keys.ended(scope), this.keys.copy(scope, callId))
    const [firstKey] = close?.keepKey ? close.requestKeys : []
    if (firstKey !== undefined) keys.push(this.keys.endedCall(scope, firstKey))
    const args = [callId, close ? expiry(close.retainMs) : '', entries.length]
    for (const { id, data, after = 0 } of entries) args.push(id, data, after)
    let how = this.#subscriber.listensTo(session) ? 'l' : ''
    if (close?.keepKey) how += 'k'
    if (close?.unlessJoined) how += 'u'
    if (close?.endsScope) how += 'g'
    if (close?.unexpected?.length) how += 'x'
    if (effect) how += effect.data === undefined ? 'd' : 's'
    args.push(how)
    if (effect) args.push(effect.key, effect.expected, effect.data ?? '')
    if (close?.unexpected?.length) args.push(close.unexpected.join(' '))
    if (close) args.push(...close.requestKeys)
    const asked = strongest([this.durability, ...entries.map(({ durability }) => durability)])
    const [plain, keeping] = [scripts.appendCall, scripts.keptAppendCall]
    const reply = await this.write(plain, keeping, scope, keys, args, undefined, asked)
    const { outcome, principal } = replies.decodeAppended(reply)
    if (close && principal !== undefined) this.calls.ended(scope, principal, close.retainMs)
    if (outcome !== 'unheard') return outcome
    this.#subscriber.tell(session, `call:${callId}`, entries.at(-1)?.id ?? '')
    return 'appended'
  }

  /** The stream itself is the fence; if it refuses, the script of `appendCall` knows why. */
  appendQuietly(scope: string, callId: string, entries: readonly NewEntry[]): Promise<QuietlyAppended> {
    // A history is written for one call at a time.
    return this.kept ||
      this.durability !== 'memory' ||
      entries.some(({ durability }) => durability !== undefined)
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
    const session = this.keys.session(scope)
    const deadline = this.client.deadline()
    const found = await runWithKeys(session, deadline, (journals) =>
      this.client.run(scripts.findCalls, [session, ...journals], [prefix], deadline),
    )
    return found as string[]
  }

  async watch(scope: string, listener: WatchListener) {
    const deadline = this.client.deadline()
    // Where commands can't be sent, a subscription would only wait for its deadline.
    await this.client.ready(deadline)
    return this.#subscriber.watch(this.keys.session(scope), listener, deadline)
  }

  /** Asks one server; of a Cluster, that is any of its masters. */
  async findRisks() {
    const deadline = this.client.deadline()
    await this.client.findWay(deadline)
    const findings = await this.client.findOut(deadline)
    const refusal = await this.#subscriber.tryOut(this.keys.probe(), deadline).catch(asSentence)
    const lacking = await this.requireDurability(this.durability).catch(asSentence)
    const others = [refusal, lacking].filter((sentence) => sentence !== undefined)
    return [...describeRisks(findings, this.client.wakeUps), ...others]
  }

  /** Nobody counts on a node before it hears the others, and its store can do what it is set to. What can't be done later, each write says. */
  override async beat(node: string, about?: string) {
    if (!this.#isFit) {
      await this.client.findWay(this.client.deadline())
      await this.requireDurability(this.durability)
    }
    this.#isFit = true
    return super.beat(node, about)
  }

  async requireDurability(durability: Durability) {
    await this.client.durableWrites.require(durability, this.client.deadline())
  }

  async close() {
    this.#subscriber.close()
    this.client.durableWrites.close()
  }
}

const asSentence = (error: unknown) =>
  error instanceof StoreError && error.code === 'store-failed'
    ? `${error.message.replace(/\.$/, '')}.`
    : undefined

/** Else Redis would take the first entries of a batch and refuse a later one. */
function requireAscending(entries: readonly Entry[]) {
  for (const [index, { id }] of entries.entries()) {
    const previous = entries[index - 1]
    if (!ENTRY_ID.test(id) || (previous && compareIds(previous.id, id) >= 0)) {
      throw new StoreError('store-failed', 'The ids of a batch must be entry ids that grow.')
    }
  }
}
