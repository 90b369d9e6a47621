import { endOfTurn } from '../turn.js'
import { MemoryData } from './memory-data.js'
import type { Session } from './memory-data.js'
import { MemoryLog } from './memory-log.js'
import { MemoryNodes } from './memory-nodes.js'
import type { MembershipStore } from './membership.js'
import { BEGINNING, compareIds, splitId } from './store.js'
import type {
  Admission,
  CallAppended,
  CloseCall,
  Entry,
  LogName,
  NewCall,
  OpenedCall,
  QuietlyAppended,
  Store,
  StoreOptions,
  WatchListener,
  ValueChange,
} from './store.js'
import type { OpenCall, TakeoverStore } from './takeover.js'

/**
 * A store in the memory of this process. Nothing survives the process, and no other process sees it;
 * several `durable()` of one process may share it and behave as the nodes of one system.
 */
export function memoryStore(): Store {
  return new MemoryStore(new Map(), {})
}

/** How long a repeated nonce is recognised. */
const NONCE_MS = 60_000
const SWEEP_MS = 1_000

/** The parts with names of their own; and the one without. */
type Parts = Map<string | undefined, MemoryData>

class MemoryStore extends MemoryNodes implements Store {
  readonly #parts: Parts
  readonly #options: StoreOptions
  readonly #sweeper: NodeJS.Timeout

  constructor(parts: Parts, options: StoreOptions) {
    super(getOrCreate(parts, options.name, () => new MemoryData()))
    this.#parts = parts
    this.#options = options
    this.#sweeper = setInterval(() => this.data.sweep(), SWEEP_MS).unref()
  }

  open({ name = this.#options.name, keeping = this.#options.keeping }: StoreOptions): Store {
    return new MemoryStore(this.#parts, { name, keeping })
  }

  createSession: Store['createSession'] = async (session, limits) => {
    if (this.#live(session.id)) return 'created'
    if (session.principal !== undefined) {
      const live = [...this.data.sessions].filter(([id]) => this.#live(id)?.principal === session.principal)
      const surplus = live.length + 1 - limits.maxPerPrincipal
      const unused = limits.evict ? live.filter(([id, one]) => this.#isUnused(id, one)) : []
      if (surplus > unused.length) return 'limit'
      const oldest = unused.toSorted(([, a], [, b]) => a.expiresAt - b.expiresAt)
      for (const [id] of oldest.slice(0, Math.max(surplus, 0))) this.#delete(id)
    }
    this.data.sessions.set(session.id, {
      principal: session.principal,
      protocolVersion: session.protocolVersion,
      version: 1,
      delivered: BEGINNING,
      state: [{ ...session.state, version: 1 }],
      expiresAt: Date.now() + session.ttlMs,
      logs: new Map(),
      openCalls: new Map(),
      once: new Map(),
      expected: new Set(),
      claims: new Map(),
      ended: new Map(),
      joined: new Set(),
      values: new Map(),
      lastValueVersion: 0,
    })
    this.#keep(session.id, 'state', [{ id: '1', data: session.state.data }])
    return 'created'
  }

  admit: Store['admit'] = async (scope, principal, ttlMs) => {
    const session = this.#live(scope)
    if (!session || session.principal !== principal) return undefined
    session.expiresAt = Date.now() + ttlMs
    return admission(session)
  }

  keepAlive: Store['keepAlive'] = async (scope, _callIds, ttlMs) => {
    const session = this.#live(scope)
    if (session) session.expiresAt = Date.now() + ttlMs
  }

  readSession: Store['readSession'] = async (scope) => {
    const session = this.#live(scope)
    return session && { ...admission(session), principal: session.principal, state: byVersion(session, 0) }
  }

  deleteSession: Store['deleteSession'] = async (scope, principal) => {
    const session = this.#live(scope)
    if (!session || session.principal !== principal) return false
    this.#delete(scope)
    return true
  }

  #delete(scope: string) {
    this.data.sessions.delete(scope)
    this.#wake(scope, 'deleted', '')
  }

  #isUnused(scope: string, { openCalls }: Session) {
    return openCalls.size === 0 && (this.data.watchers.get(scope)?.size ?? 0) === 0
  }

  listSessions: Store['listSessions'] = async (cursor, limit) => {
    const ids = [...this.data.sessions.keys()].toSorted()
    const from = cursor === undefined ? 0 : ids.findIndex((id) => id > cursor)
    const page = from < 0 ? [] : ids.slice(from, from + limit)
    const more = from >= 0 && from + limit < ids.length
    return { ids: page, cursor: more ? page.at(-1) : undefined }
  }

  putState: Store['putState'] = async (scope, { key, data, nonce }, { maxKeys }) => {
    const session = this.#live(scope)
    if (!session) return 'unknown'
    const repeated = session.once.get(`state:${nonce}`)
    if (repeated) return Number(repeated.id)
    const existing = session.state.find((entry) => entry.key === key)
    if (!existing && session.state.length >= maxKeys) return 'limit'
    const version = ++session.version
    session.state = [...session.state.filter((entry) => entry !== existing), { key, data, version }]
    session.once.set(`state:${nonce}`, { id: String(version), expiresAt: Date.now() + NONCE_MS })
    this.#keep(scope, 'state', [{ id: String(version), data }])
    this.#wake(scope, 'state', String(version))
    return version
  }

  readState: Store['readState'] = async (scope, after) => {
    const session = this.#live(scope)
    return session ? byVersion(session, after) : []
  }

  append: Store['append'] = async (scope, name, data, options) => {
    const { nonce, maxLength, maxBytes = Number.POSITIVE_INFINITY, whenFull, answers, ifOpen } = options
    const session = this.#live(scope)
    if (!session) return undefined
    const repeated = session.once.get(nonce)
    if (repeated) return repeated.id
    if (ifOpen !== undefined && !isOpen(session, ifOpen)) return undefined
    if (answers !== undefined && !session.expected.has(answers)) return undefined
    const log = session.logs.get(name) ?? new MemoryLog()
    const isFull = log.length >= maxLength || log.bytes + Buffer.byteLength(data) > maxBytes
    if (whenFull === 'refuse' && isFull) return false
    if (answers !== undefined) session.expected.delete(answers)
    session.logs.set(name, log)
    const id = log.append(data)
    log.trim(maxLength, maxBytes)
    session.once.set(nonce, { id, expiresAt: Date.now() + NONCE_MS })
    this.#keep(scope, name, [{ id, data }])
    this.#wake(scope, name, id)
    return id
  }

  expect: Store['expect'] = async (scope, name, { ifOpen } = {}) => {
    const session = this.#live(scope)
    if (!session || (ifOpen !== undefined && !isOpen(session, ifOpen))) return false
    session.expected.add(name)
    return true
  }

  read: Store['read'] = async (scope, name, after, limit, maxBytes) => {
    const log = this.#live(scope)?.logs.get(name)
    if (!log || log.expired) return after === BEGINNING || after === '-' ? [] : undefined
    return log.read(after, limit, maxBytes)
  }

  dropLog: Store['dropLog'] = async (scope, name, names = []) => {
    const session = this.#live(scope)
    session?.logs.delete(name)
    for (const each of names) session?.expected.delete(each)
  }

  saveDelivered: Store['saveDelivered'] = async (scope, id) => {
    const session = this.#live(scope)
    if (session && compareIds(id, session.delivered) > 0) session.delivered = id
  }

  history: Store['history'] = async (scope, page) => this.data.histories.read(scope, page)

  forget: Store['forget'] = async (what) => {
    const live = [...this.data.sessions.keys()].filter(
      (id) => 'principal' in what && this.#live(id)?.principal === what.principal,
    )
    const scopes =
      'scope' in what ? [what.scope] : new Set([...live, ...this.data.histories.of(what.principal)])
    const forgotten = { sessions: 0, calls: 0, entries: 0 }
    for (const scope of scopes) {
      const session = this.#live(scope)
      const journals = [...(session?.logs ?? [])].filter(
        ([name, log]) => name.startsWith('call:') && !name.endsWith(':in') && !log.expired,
      )
      forgotten.sessions += session ? 1 : 0
      forgotten.calls += journals.length
      forgotten.entries += this.data.histories.forget(scope)
      this.data.sessions.delete(scope)
      this.#wake(scope, 'deleted', '')
    }
    return forgotten
  }

  openCall: Store['openCall'] = (call) => answer(this.#openCall(call))

  #openCall(call: NewCall): OpenedCall {
    const session = this.#live(call.scope)
    if (!session || session.principal !== call.principal) return { status: 'unknown' }
    session.expiresAt = Date.now() + call.ttlMs
    const name = `call:${call.callId}` as const
    const mine = session.logs.get(name)
    if (mine) return { status: 'opened', id: mine.firstId, admission: admission(session) }
    const existing = sameRequest(session, call)
    if (existing !== undefined) return { status: 'attached', callId: existing, admission: admission(session) }
    if (session.openCalls.size + call.requestKeys.length > call.maxOpenCalls) return { status: 'limit' }
    const id = `${this.data.clock()}-1`
    session.logs.set(name, logOf([{ id, data: call.data }]))
    this.#keep(call.scope, name, [{ id, data: call.data }])
    for (const key of call.requestKeys) session.openCalls.set(key, { callId: call.callId, owner: call.owner })
    return { status: 'opened', id, admission: admission(session) }
  }

  appendCall: Store['appendCall'] = (...append) => answer(this.#appendCall(...append))

  #appendCall(...[scope, callId, entries, close, effect]: Parameters<Store['appendCall']>): CallAppended {
    const session = this.#live(scope)
    const name = `call:${callId}` as const
    const log = session?.logs.get(name)
    if (!session || !log || log.expired) return 'gone'
    const last = entries.at(-1)
    if (!last) return 'appended'
    if (!log.has(last.id)) {
      if (close?.unlessJoined && session.joined.has(callId)) return 'conflict'
      if (compareIds(entries[0]?.id ?? last.id, log.lastId) <= 0) return 'fenced'
      if (effect && changeValue(session, effect) === 'conflict') return 'conflict'
      const written = entries.map(({ id, data }) => ({ id, data }))
      log.insert(written)
      this.#keep(scope, name, written)
    }
    if (close) {
      for (const key of close.requestKeys) {
        if (session.openCalls.get(key)?.callId === callId) session.openCalls.delete(key)
      }
      session.joined.delete(callId)
      session.claims.delete(callId)
      for (const each of close.unexpected ?? []) session.expected.delete(each)
      session.logs.delete(`${name}:in`)
      retain(session, callId, log, close)
    }
    this.#wake(scope, name, last.id)
    return 'appended'
  }

  appendQuietly: Store['appendQuietly'] = (scope, callId, entries) => {
    const outcomes = entries.map((entry) => this.#appendQuietly(scope, callId, entry))
    return answer(outcomes.find((outcome) => outcome !== 'appended') ?? 'appended')
  }

  #appendQuietly(scope: string, callId: string, { id, data }: Entry): QuietlyAppended {
    const log = this.#live(scope)?.logs.get(`call:${callId}`)
    if (!log || log.expired) return 'gone'
    if (log.has(id)) return 'appended'
    if (compareIds(id, log.lastId) <= 0) return 'fenced'
    log.insert([{ id, data }])
    this.#keep(scope, `call:${callId}`, [{ id, data }])
    return 'appended'
  }

  readValue: Store['readValue'] = async (scope, key) => {
    const value = this.#live(scope)?.values.get(key)
    return value && { ...value }
  }

  writeValue: Store['writeValue'] = async (scope, key, expected, data) => {
    const session = this.#live(scope)
    return session ? changeValue(session, { key, expected, data }) : 'unknown'
  }

  findCalls: Store['findCalls'] = async (scope, prefix) => {
    const open = this.#live(scope)?.openCalls ?? new Map<string, OpenCall>()
    return [...new Set([...open].filter(([key]) => key.startsWith(prefix)).map(([, { callId }]) => callId))]
  }

  listOpenCalls: TakeoverStore['listOpenCalls'] = async (scope) => {
    const calls = [...(this.#live(scope)?.openCalls.values() ?? [])]
    return [...new Map(calls.map((call) => [call.callId, { ...call }])).values()]
  }

  claimCall: TakeoverStore['claimCall'] = async (scope, callId, claim) => {
    const { from, to, data, last, counts = 1 } = claim
    const session = this.#live(scope)
    const log = session?.logs.get(`call:${callId}`)
    const open = [...(session?.openCalls.values() ?? [])].filter((call) => call.callId === callId)
    if (!log || open.length === 0) return undefined
    const claims = session?.claims.get(callId) ?? 0
    if (open.every(({ owner }) => owner === to) && log.last?.data === data) return { id: log.lastId, claims }
    if (!open.every(({ owner }) => owner === from)) return undefined
    if (last !== undefined && log.lastId !== last) return undefined
    const [epoch] = splitId(log.lastId)
    const id = `${Math.max(epoch + 1, this.data.clock())}-1`
    log.insert([{ id, data }])
    this.#keep(scope, `call:${callId}`, [{ id, data }])
    for (const call of open) call.owner = to
    session?.claims.set(callId, claims + counts)
    this.#wake(scope, `call:${callId}`, id)
    return { id, claims: claims + counts }
  }

  isWatched: MembershipStore['isWatched'] = async (scope) => this.data.watchers.has(scope)

  watch: Store['watch'] = async (scope, listener) => {
    const listeners = getOrCreate(this.data.watchers, scope, () => new Set())
    // The same function may watch twice; each watch ends on its own.
    const watcher: WatchListener = (topic, value) => listener(topic, value)
    listeners.add(watcher)
    return () => {
      listeners.delete(watcher)
      if (listeners.size === 0 && this.data.watchers.get(scope) === listeners)
        this.data.watchers.delete(scope)
    }
  }

  publish: Store['publish'] = async (scope, topic, value) => this.#wake(scope, topic, value)

  findRisks: Store['findRisks'] = async () => []

  /** Watches go on: others in this process may share the store. */
  close: Store['close'] = async () => clearInterval(this.#sweeper)

  /** Wakes in a later turn, as a network would, so that no caller relies on being woken at once. */
  #wake(scope: string, topic: string, value: string) {
    const listeners = this.data.watchers.get(scope)
    if (!listeners) return
    setImmediate(() => {
      for (const listener of listeners) listener(topic, value)
    })
  }

  #live(scope: string): Session | undefined {
    return this.data.live(scope)
  }

  /** What was just written belongs to the history as well, where one is kept. */
  #keep(scope: string, log: LogName | 'state', entries: readonly Entry[]) {
    const { keeping } = this.#options
    if (keeping) this.data.histories.keep(scope, this.#live(scope)?.principal, log, entries, keeping)
  }
}

/** What was done is told at the end of the turn, as a server would. */
async function answer<T>(outcome: T): Promise<T> {
  await endOfTurn()
  return outcome
}

function admission({ protocolVersion, version, delivered, lastValueVersion }: Session): Admission {
  return { protocolVersion, version, delivered, values: lastValueVersion }
}

/** The call of the same request, if it is open or its key was kept. */
function sameRequest(session: Session, { requestKeys: [first = ''] }: Pick<NewCall, 'requestKeys'>) {
  const attached = session.openCalls.get(first)
  if (attached) session.joined.add(attached.callId)
  const ended = session.ended.get(first)
  return attached?.callId ?? (ended && ended.expiresAt > Date.now() ? ended.id : undefined)
}

/** The journal of a call that has ended. */
function retain(
  session: Session,
  callId: string,
  log: MemoryLog,
  { retainMs, keepKey, requestKeys: [first] }: CloseCall,
) {
  log.expiresAt = Date.now() + retainMs
  if (keepKey && first !== undefined) session.ended.set(first, { id: callId, expiresAt: log.expiresAt })
}

const isOpen = ({ openCalls }: Session, callId: string) =>
  [...openCalls.values()].some((call) => call.callId === callId)

function logOf(entries: readonly Entry[]): MemoryLog {
  const log = new MemoryLog()
  log.insert(entries)
  return log
}

function changeValue(session: Session, { key, expected, data }: ValueChange): number | 'conflict' {
  if ((session.values.get(key)?.version ?? 0) !== expected) return 'conflict'
  const version = ++session.lastValueVersion
  if (data === undefined) {
    session.values.delete(key)
    return 0
  }
  session.values.set(key, { version, data })
  return version
}

function byVersion(session: Session, after: number) {
  return session.state.filter((entry) => entry.version > after)
}

function getOrCreate<K, V>(map: Map<K, V>, key: K, create: () => V): V {
  const existing = map.get(key)
  if (existing !== undefined) return existing
  const created = create()
  map.set(key, created)
  return created
}
