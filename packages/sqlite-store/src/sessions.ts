import type { NewSession, SessionLimits, StateEntry, Store } from '@mcp-durable/core/store'
import { splitId } from './ids.js'
import { admission, isOf, isWhose, KIND, NONCE_MS } from './space.js'
import type { Space } from './space.js'

/** How many sessions are looked at to end some that are not in use. */
const MOST_EVICTABLE = 64

type Idle = { id: number; scope: string }

const COUNT = `SELECT count(*) AS live FROM scopes
  WHERE name = ? AND principal = ? AND kind = ${KIND.session} AND expires_at > ? AND scope IS NOT NULL`
/** Those whose expiry is nearest, and in which no call is open. */
const IDLE = `SELECT id, scope FROM scopes AS s
  WHERE name = ? AND principal = ? AND kind = ${KIND.session} AND expires_at > ? AND scope IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM requests r JOIN logs l ON l.id = r.log WHERE r.scope = s.id AND l.owner IS NOT NULL)
  ORDER BY expires_at LIMIT ${MOST_EVICTABLE}`
const LIST = `SELECT scope FROM scopes WHERE name = ? AND scope IS NOT NULL AND kind = ${KIND.session}`
const FIRST_PAGE = `${LIST} ORDER BY scope LIMIT ?`
const NEXT_PAGE = `${LIST} AND scope > ? ORDER BY scope LIMIT ?`
const PUT = `INSERT INTO states (scope, key, version, at, data) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (scope, key) DO UPDATE SET version = excluded.version, at = excluded.at, data = excluded.data`

/** Sessions, and the state by which a node rebuilds one. */
export class Sessions implements Pick<
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
> {
  readonly #space: Space

  constructor(space: Space) {
    this.#space = space
  }

  createSession: Store['createSession'] = async (session, limits) => {
    const created = await this.#space.write((now) => this.#create(session, limits, [], now))
    if (created === 'created' || !limits.evict) return created
    return this.#evictFor(session, limits)
  }

  /** Who watches is known by other processes, and so asked before: what is in use since then stays only if a call is open. */
  async #evictFor(session: NewSession, limits: SessionLimits) {
    const { given, engine, name } = this.#space
    const idle = await this.#space.read((now) =>
      this.#space.sql.all<Idle>(IDLE, name, session.principal, now),
    )
    const watched = await Promise.all(idle.map(({ scope }) => engine.isWatched(given, scope)))
    const unused = idle.filter((_, i) => !watched[i])
    return this.#space.write((now) => this.#create(session, limits, unused, now))
  }

  #create(
    session: NewSession,
    limits: SessionLimits,
    unused: readonly Idle[],
    now: number,
  ): 'created' | 'limit' {
    const { id, principal, state } = session
    if (this.#space.live(id, now)) return 'created'
    if (principal !== undefined && !this.#hasRoom(principal, limits, unused, now)) return 'limit'
    const begun = this.#space.begin(id, { ...session, kind: KIND.session, version: 1 }, now)
    this.#space.sql.run(PUT, begun.id, state.key, 1, now, state.data)
    this.#space.keep(id, begun.principal, 'state', [{ id: '1', data: state.data }], now)
    return 'created'
  }

  #hasRoom(
    principal: string,
    { maxPerPrincipal }: SessionLimits,
    unused: readonly Idle[],
    now: number,
  ): boolean {
    const { sql, name } = this.#space
    const { live = 0 } = sql.get<{ live: number }>(COUNT, name, principal, now) ?? {}
    const surplus = live + 1 - maxPerPrincipal
    if (surplus <= 0) return true
    const still = unused.length > 0 ? sql.all<Idle>(IDLE, name, principal, now) : []
    const going = still.filter(({ id }) => unused.some((each) => each.id === id)).slice(0, surplus)
    if (going.length < surplus) return false
    for (const { scope } of going) this.#space.delete(this.#space.live(scope, now)!, scope)
    return true
  }

  admit: Store['admit'] = (scope, principal, ttlMs, server) =>
    this.#space.write((now) => {
      const session = this.#space.live(scope, now)
      if (!session || !isWhose(session, principal) || !isOf(session, server)) return undefined
      this.#space.keepFor(session, ttlMs, now)
      return admission(session)
    })

  /** A journal that is open lives as long as its scope. */
  keepAlive: Store['keepAlive'] = (scope, _callIds, ttlMs) =>
    this.#space.write((now) => {
      const session = this.#space.live(scope, now)
      if (session) this.#space.keepFor(session, ttlMs, now)
    })

  readSession: Store['readSession'] = (scope) =>
    this.#space.read((now) => {
      const session = this.#space.live(scope, now)
      if (!session) return undefined
      const { principal, server } = session
      const state = this.#state(session.id, 0)
      return { ...admission(session), principal: principal ?? undefined, server: server ?? undefined, state }
    })

  deleteSession: Store['deleteSession'] = (scope, principal, server) =>
    this.#space.write((now) => {
      const session = this.#space.live(scope, now)
      if (!session || !isWhose(session, principal) || !isOf(session, server)) return false
      this.#space.delete(session, scope)
      return true
    })

  listSessions: Store['listSessions'] = (cursor, limit) =>
    this.#space.read(() => {
      const { sql, name } = this.#space
      const rows =
        cursor === undefined
          ? sql.all<{ scope: string }>(FIRST_PAGE, name, limit + 1)
          : sql.all<{ scope: string }>(NEXT_PAGE, name, cursor, limit + 1)
      const ids = rows.slice(0, limit).map(({ scope }) => scope)
      return { ids, cursor: rows.length > limit ? ids.at(-1) : undefined }
    })

  putState: Store['putState'] = (scope, { key, data, nonce }, { maxKeys }) =>
    this.#space.write((now) => {
      const { sql } = this.#space
      const session = this.#space.live(scope, now)
      if (!session) return 'unknown'
      const repeated = answerOf(this.#space, session.id, `state:${nonce}`, now)
      if (repeated !== undefined) return Number(repeated)
      const counted = `SELECT count(*) AS keys, sum(key = ?) AS known FROM states WHERE scope = ?`
      const { keys = 0, known = 0 } =
        sql.get<{ keys: number; known: number | null }>(counted, key, session.id) ?? {}
      if (!known && keys >= maxKeys) return 'limit'
      const version = session.version + 1
      sql.run('UPDATE scopes SET version = ? WHERE id = ?', version, session.id)
      sql.run(PUT, session.id, key, version, now, data)
      remember(this.#space, session.id, `state:${nonce}`, String(version), now)
      this.#space.keep(scope, session.principal, 'state', [{ id: String(version), data }], now)
      this.#space.wake(scope, 'state', String(version))
      return version
    })

  readState: Store['readState'] = (scope, after) =>
    this.#space.read((now) => {
      const session = this.#space.live(scope, now)
      return session ? this.#state(session.id, after) : []
    })

  #state(id: number, after: number): StateEntry[] {
    const read = 'SELECT key, version, data FROM states WHERE scope = ? AND version > ? ORDER BY version'
    const rows = this.#space.sql.all<StateEntry>(read, id, after)
    return rows.map(({ key, version, data }) => ({ key, version, data }))
  }

  saveDelivered: Store['saveDelivered'] = (scope, id) =>
    this.#space.write((now) => {
      const [session, to] = [this.#space.live(scope, now), splitId(id)]
      const from = session && splitId(session.delivered)
      if (!to || !from || to[0] < from[0] || (to[0] === from[0] && to[1] <= from[1])) return
      this.#space.sql.run('UPDATE scopes SET delivered = ? WHERE id = ?', id, session.id)
    })
}

/** What an operation of this nonce was answered, if that was within a minute. */
export function answerOf({ sql }: Space, scope: number, nonce: string, now: number): string | undefined {
  const find = 'SELECT answer FROM nonces WHERE scope = ? AND nonce = ? AND expires_at > ?'
  return sql.get<{ answer: string }>(find, scope, nonce, now)?.answer
}

export function remember({ sql, engine }: Space, scope: number, nonce: string, answer: string, now: number) {
  sql.run('INSERT OR REPLACE INTO nonces VALUES (?, ?, ?, ?)', scope, nonce, answer, now + NONCE_MS)
  engine.expires(now + NONCE_MS)
}
