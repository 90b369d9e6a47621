import type { NewScope } from './context-store.js'
import { compareIds } from './entries.js'
import {
  admission,
  changeValue,
  isOf,
  isTooMuch,
  newScope,
  newSession,
  NONCE_MS,
  slide,
  keepFor,
} from './memory-session.js'
import type { Session } from './memory-session.js'
import type { MemorySpace } from './memory-space.js'
import type { Store } from './store.js'

/** Sessions, their state and their values. */
export class MemorySessions implements Pick<
  Store,
  | 'createSession'
  | 'admit'
  | 'keepAlive'
  | 'readSession'
  | 'deleteSession'
  | 'listSessions'
  | 'putState'
  | 'readState'
  | 'saveDelivered'
  | 'readValue'
  | 'writeValue'
  | 'beginScope'
  | 'useScope'
  | 'history'
  | 'forget'
> {
  readonly #space: MemorySpace

  constructor(space: MemorySpace) {
    this.#space = space
  }

  createSession: Store['createSession'] = async (session, limits) => {
    if (this.#space.live(session.id)) return 'created'
    if (session.principal !== undefined) {
      const live = [...this.#space.data.sessions].filter(
        ([id, { isListed }]) => isListed && this.#space.live(id)?.principal === session.principal,
      )
      const surplus = live.length + 1 - limits.maxPerPrincipal
      const unused = limits.evict ? live.filter(([id, one]) => this.#isUnused(id, one)) : []
      if (surplus > unused.length) return 'limit'
      const oldest = unused.toSorted(([, a], [, b]) => a.expiresAt - b.expiresAt)
      for (const [id] of oldest.slice(0, Math.max(surplus, 0))) this.#delete(id)
    }
    const begun = newSession(session)
    begun.isListed = true
    begun.version = 1
    begun.state = [{ ...session.state, version: 1 }]
    this.#space.data.sessions.set(session.id, begun)
    this.#space.keep(session.id, 'state', [{ id: '1', data: session.state.data }])
    return 'created'
  }

  admit: Store['admit'] = async (scope, principal, ttlMs, server) => {
    const session = this.#space.live(scope)
    if (!session || session.principal !== principal || !isOf(session, server)) return undefined
    keepFor(session, ttlMs)
    return admission(session)
  }

  keepAlive: Store['keepAlive'] = async (scope, _callIds, ttlMs) => {
    const session = this.#space.live(scope)
    if (session) keepFor(session, ttlMs)
  }

  readSession: Store['readSession'] = async (scope) => {
    const session = this.#space.live(scope)
    if (!session) return undefined
    const { principal, server } = session
    return { ...admission(session), principal, server, state: byVersion(session, 0) }
  }

  deleteSession: Store['deleteSession'] = async (scope, principal, server) => {
    const session = this.#space.live(scope)
    if (!session || session.principal !== principal || !isOf(session, server)) return false
    this.#delete(scope)
    return true
  }

  #delete(scope: string) {
    this.#space.data.sessions.delete(scope)
    this.#space.wake(scope, 'deleted', '')
  }

  #isUnused(scope: string, { openCalls }: Session) {
    return openCalls.size === 0 && (this.#space.data.watchers.get(scope)?.size ?? 0) === 0
  }

  listSessions: Store['listSessions'] = async (cursor, limit) => {
    const listed = [...this.#space.data.sessions].filter(([, { isListed }]) => isListed)
    const ids = listed.map(([id]) => id).toSorted()
    const from = cursor === undefined ? 0 : ids.findIndex((id) => id > cursor)
    const page = from < 0 ? [] : ids.slice(from, from + limit)
    const more = from >= 0 && from + limit < ids.length
    return { ids: page, cursor: more ? page.at(-1) : undefined }
  }

  putState: Store['putState'] = async (scope, { key, data, nonce }, { maxKeys }) => {
    const session = this.#space.live(scope)
    if (!session) return 'unknown'
    const repeated = session.once.get(`state:${nonce}`)
    if (repeated) return Number(repeated.id)
    const existing = session.state.find((entry) => entry.key === key)
    if (!existing && session.state.length >= maxKeys) return 'limit'
    const version = ++session.version
    session.state = [...session.state.filter((entry) => entry !== existing), { key, data, version }]
    session.once.set(`state:${nonce}`, { id: String(version), expiresAt: Date.now() + NONCE_MS })
    this.#space.keep(scope, 'state', [{ id: String(version), data }])
    this.#space.wake(scope, 'state', String(version))
    return version
  }

  readState: Store['readState'] = async (scope, after) => {
    const session = this.#space.live(scope)
    return session ? byVersion(session, after) : []
  }

  saveDelivered: Store['saveDelivered'] = async (scope, id) => {
    const session = this.#space.live(scope)
    if (session && compareIds(id, session.delivered) > 0) session.delivered = id
  }

  readValue: Store['readValue'] = async (scope, key) => {
    const value = this.#space.live(scope)?.values.get(key)
    return value && { ...value }
  }

  writeValue: Store['writeValue'] = async (scope, key, expected, data, options = {}) => {
    const { mark, formerMark, markMs = NONCE_MS, begins, maxBytes = Number.POSITIVE_INFINITY } = options
    if (begins) this.#begin(scope, begins)
    const session = this.#space.live(scope)
    if (!session || (begins && session.principal !== begins.principal)) return 'unknown'
    if (begins) session.ttlMs = begins.ttlMs
    slide(session)
    const now = Date.now()
    // The oldest are first: a state that changes often has many.
    for (const [seen, until] of session.marks) {
      if (until > now) break
      session.marks.delete(seen)
    }
    if ([mark, formerMark].some((seen) => seen !== undefined && session.marks.has(seen))) return 'repeated'
    if ((session.values.get(key)?.version ?? 0) !== expected) return 'conflict'
    if (isTooMuch(session, key, data, maxBytes)) return 'full'
    if (mark !== undefined) session.marks.set(mark, now + markMs)
    return changeValue(session, { key, expected, data })
  }

  beginScope: Store['beginScope'] = async (scope, whose, { maxPerPrincipal }) => {
    if (this.#space.live(scope)) return 'begun'
    const own = [...this.#space.data.sessions].filter(
      ([id, { ttlMs, principal }]) =>
        ttlMs !== undefined && principal === whose.principal && this.#space.live(id),
    )
    if (whose.principal !== undefined && own.length >= maxPerPrincipal) return 'limit'
    this.#begin(scope, whose)
    return 'begun'
  }

  #begin(scope: string, whose: NewScope) {
    if (!this.#space.live(scope)) this.#space.data.sessions.set(scope, newScope(whose))
  }

  useScope: Store['useScope'] = async (scope, principal) => {
    const session = this.#space.live(scope)
    if (session?.ttlMs === undefined || session.principal !== principal) return false
    slide(session)
    return true
  }

  history: Store['history'] = async (scope, page) => this.#space.data.histories.read(scope, page)

  forget: Store['forget'] = async (what) => {
    const live = [...this.#space.data.sessions.keys()].filter(
      (id) => 'principal' in what && this.#space.live(id)?.principal === what.principal,
    )
    const scopes =
      'scope' in what ? [what.scope] : new Set([...live, ...this.#space.data.histories.of(what.principal)])
    const forgotten = { sessions: 0, calls: 0, entries: 0 }
    for (const scope of scopes) {
      const session = this.#space.live(scope)
      const journals = [...(session?.logs ?? [])].filter(
        ([name, log]) => name.startsWith('call:') && !name.endsWith(':in') && !log.expired,
      )
      forgotten.sessions += session?.isListed ? 1 : 0
      forgotten.calls += journals.length
      forgotten.entries += this.#space.data.histories.forget(scope)
      this.#space.data.sessions.delete(scope)
      this.#space.wake(scope, 'deleted', '')
    }
    return forgotten
  }
}

function byVersion(session: Session, after: number) {
  return session.state.filter((entry) => entry.version > after)
}
