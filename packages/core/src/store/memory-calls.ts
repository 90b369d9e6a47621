import { endOfTurn } from '../turn.js'
import { BEGINNING, compareIds, splitId } from './entries.js'
import type { Entry } from './entries.js'
import { MemoryLog } from './memory-log.js'
import { admission, changeValue, isOf, keepFor, newSession } from './memory-session.js'
import type { Session } from './memory-session.js'
import type { MemorySpace } from './memory-space.js'
import type { CallAppended, CloseCall, NewCall, OpenedCall, QuietlyAppended, Store } from './store.js'
import type { OpenCall, TakeoverStore } from './takeover.js'

/** Requests of so many bytes are bounded by their number. */
const LITTLE = 16 * 1024

/** Calls, their journals and their owners. */
export class MemoryCalls implements Pick<
  Store,
  'openCall' | 'appendCall' | 'appendQuietly' | 'findCalls' | keyof TakeoverStore
> {
  readonly #space: MemorySpace

  constructor(space: MemorySpace) {
    this.#space = space
  }

  openCall: Store['openCall'] = (call) => answer(this.#openCall(call))

  /** The list is looked through only where it seems full: what has expired or was deleted is still in it. */
  #isFull({ principal, begins }: NewCall) {
    const { maxPerPrincipal: most = Number.POSITIVE_INFINITY } = begins ?? {}
    if (principal === undefined || this.#alone(principal).size < most) return false
    return this.#space.data.countAlone(principal) >= most
  }

  #alone(principal: string): Set<string> {
    const { openAlone } = this.#space.data
    const scopes = openAlone.get(principal) ?? new Set()
    openAlone.set(principal, scopes)
    return scopes
  }

  #openCall(call: NewCall): OpenedCall {
    if (call.begins && !this.#space.live(call.scope)) {
      if (this.#isFull(call)) return { status: 'limit' }
      this.#space.data.sessions.set(call.scope, newSession({ ...call, ...call.begins }))
    }
    const session = this.#space.live(call.scope)
    if (!session || session.principal !== call.principal || !isOf(session, call.server))
      return { status: 'unknown' }
    keepFor(session, call.ttlMs)
    const name = `call:${call.callId}` as const
    const mine = session.logs.get(name)
    if (mine) return { status: 'opened', id: mine.firstId, admission: admission(session) }
    const existing = sameRequest(session, call)
    if (existing !== undefined) return { status: 'attached', callId: existing, admission: admission(session) }
    if (session.openCalls.size + call.requestKeys.length > call.maxOpenCalls) return { status: 'limit' }
    const size = Buffer.byteLength(call.data)
    if (size > LITTLE) {
      const others = [...session.sizes.values()].reduce((sum, each) => sum + each, 0)
      if (others > 0 && others + size > (call.maxOpenBytes ?? Number.POSITIVE_INFINITY))
        return { status: 'limit' }
      session.sizes.set(call.callId, size)
    }
    const id = `${this.#space.data.clock()}-1`
    session.logs.set(name, logOf([{ id, data: call.data }]))
    this.#space.keep(call.scope, name, [{ id, data: call.data }])
    for (const key of call.requestKeys) session.openCalls.set(key, { callId: call.callId, owner: call.owner })
    if (call.begins && call.principal !== undefined) this.#alone(call.principal).add(call.scope)
    return { status: 'opened', id, admission: admission(session) }
  }

  appendCall: Store['appendCall'] = (...append) => answer(this.#appendCall(...append))

  #appendCall(...[scope, callId, entries, close, effect]: Parameters<Store['appendCall']>): CallAppended {
    const session = this.#space.live(scope)
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
      this.#space.keep(scope, name, written)
    }
    if (close) {
      for (const key of close.requestKeys) {
        if (session.openCalls.get(key)?.callId === callId) session.openCalls.delete(key)
      }
      session.joined.delete(callId)
      session.claims.delete(callId)
      session.sizes.delete(callId)
      for (const each of close.unexpected ?? []) session.expected.delete(each)
      session.logs.delete(`${name}:in`)
      retain(session, callId, log, close)
      if (close.endsScope) {
        session.expiresAt = Date.now() + close.retainMs
        if (session.principal !== undefined) this.#alone(session.principal).delete(scope)
      }
    }
    this.#space.wake(scope, name, last.id)
    return 'appended'
  }

  appendQuietly: Store['appendQuietly'] = (scope, callId, entries) => {
    const outcomes = entries.map((entry) => this.#appendQuietly(scope, callId, entry))
    return answer(outcomes.find((outcome) => outcome !== 'appended') ?? 'appended')
  }

  #appendQuietly(scope: string, callId: string, { id, data }: Entry): QuietlyAppended {
    const log = this.#space.live(scope)?.logs.get(`call:${callId}`)
    if (!log || log.expired) return 'gone'
    if (log.has(id)) return 'appended'
    if (compareIds(id, log.lastId) <= 0) return 'fenced'
    log.insert([{ id, data }])
    this.#space.keep(scope, `call:${callId}`, [{ id, data }])
    return 'appended'
  }

  findCalls: Store['findCalls'] = async (scope, prefix) => {
    const open = this.#space.live(scope)?.openCalls ?? new Map<string, OpenCall>()
    return [...new Set([...open].filter(([key]) => key.startsWith(prefix)).map(([, { callId }]) => callId))]
  }

  listOpenCalls: TakeoverStore['listOpenCalls'] = async (scope) => {
    const calls = [...(this.#space.live(scope)?.openCalls.values() ?? [])]
    return [...new Map(calls.map((call) => [call.callId, { ...call }])).values()]
  }

  claimCall: TakeoverStore['claimCall'] = async (scope, callId, claim) => {
    const { from, to, data, last, inbox, ttlMs, counts = 1 } = claim
    const session = this.#space.live(scope)
    const log = session?.logs.get(`call:${callId}`)
    const open = [...(session?.openCalls.values() ?? [])].filter((call) => call.callId === callId)
    if (!log || open.length === 0) return undefined
    const claims = session?.claims.get(callId) ?? 0
    if (open.every(({ owner }) => owner === to) && log.last?.data === data) return { id: log.lastId, claims }
    if (!open.every(({ owner }) => owner === from)) return undefined
    if (last !== undefined && log.lastId !== last) return undefined
    const received = session?.logs.get(`call:${callId}:in`)?.lastId ?? BEGINNING
    if (inbox !== undefined && received !== inbox) return undefined
    const [epoch] = splitId(log.lastId)
    const id = `${Math.max(epoch + 1, this.#space.data.clock())}-1`
    log.insert([{ id, data }])
    this.#space.keep(scope, `call:${callId}`, [{ id, data }])
    for (const call of open) call.owner = to
    session?.claims.set(callId, claims + counts)
    if (session && ttlMs !== undefined) session.expiresAt = Date.now() + ttlMs
    this.#space.wake(scope, `call:${callId}`, id)
    return { id, claims: claims + counts }
  }
}

/** What was done is told at the end of the turn, as a server would. */
async function answer<T>(outcome: T): Promise<T> {
  await endOfTurn()
  return outcome
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

function logOf(entries: readonly Entry[]): MemoryLog {
  const log = new MemoryLog()
  log.insert(entries)
  return log
}
