import type {
  CallAppended,
  CloseCall,
  NewCall,
  NewEntry,
  OpenedCall,
  QuietlyAppended,
  Store,
  TakeoverStore,
} from '@mcp-durable/core/store'
import { BEGINNING, StoreError } from '@mcp-durable/core/store'
import { splitId } from './ids.js'
import { INSERT } from './logs.js'
import { admission, isOf, isWhose, KIND } from './space.js'
import type { Scope, Space } from './space.js'
import { changeValue } from './values.js'

/** Requests of so many bytes are bounded by their number. */
const LITTLE = 16 * 1024

type Opening = Scope & { mine: number | null; same: number | null; requests: number }
type Journal = { id: number; log: string; owner: string | null; joined: number; expires_at: number | null }

const OPENING = `SELECT s.id, s.kind, s.principal, s.server, s.protocol_version, s.version, s.delivered, s.value_version,
    s.value_bytes, s.ttl_ms, s.expires_at,
    (SELECT id FROM logs WHERE scope = s.id AND log = ?) AS mine,
    (SELECT log FROM requests WHERE scope = s.id AND key = ?) AS same,
    (SELECT count(*) FROM requests WHERE scope = s.id) AS requests
  FROM scopes s WHERE s.name = ? AND s.scope = ?`
const OPEN = 'INSERT INTO logs (scope, log, owner, size) VALUES (?, ?, ?, ?) RETURNING id'
const OPEN_CALLS = `FROM requests r JOIN logs l ON l.id = r.log WHERE r.scope = ? AND l.owner IS NOT NULL`
const ALONE = `SELECT count(*) AS open FROM scopes
  WHERE name = ? AND principal = ? AND kind = ${KIND.call} AND expires_at > ? AND scope IS NOT NULL`

/** A journal that is there: an open one lives as long as its scope. */
const JOURNAL = `scopes s JOIN logs l ON l.scope = s.id
  WHERE s.name = ? AND s.scope = ? AND s.expires_at > ? AND l.log = ? AND (l.expires_at IS NULL OR l.expires_at > ?)`
/** The journal is the fence: where there is none, or an id is not above its last one, no log is found, and nothing is inserted. */
const APPEND = `INSERT OR IGNORE INTO entries (log, time, seq, after, data) VALUES (
  (SELECT l.id FROM ${JOURNAL} AND (?, ?) >
    (SELECT time, seq FROM entries WHERE log = l.id ORDER BY time DESC, seq DESC LIMIT 1)), ?, ?, ?, ?)`
const APPEND_FIRST = `${APPEND} RETURNING log`
const OPEN_CALL = `SELECT id, owner, claims FROM logs
  WHERE scope = ? AND log = ? AND owner IS NOT NULL AND (expires_at IS NULL OR expires_at > ?)`
/** A call that was moved here from another store may have had an expiry of its own, as one that nobody had owned lately. */
const LIVES_ON = 'UPDATE logs SET expires_at = NULL WHERE scope = ? AND log IN (?, ?) AND expires_at > ?'
const CLOSE = `UPDATE logs SET owner = NULL, claims = 0, joined = 0, size = 0, kept_key = coalesce(?, kept_key), expires_at = ?
  WHERE id = ? RETURNING scope`

/** Calls, their journals and their owners. */
export class Calls implements Pick<
  Store,
  'openCall' | 'appendCall' | 'appendQuietly' | 'findCalls' | keyof TakeoverStore
> {
  readonly #space: Space

  constructor(space: Space) {
    this.#space = space
  }

  openCall: Store['openCall'] = (call) => this.#space.write((now) => this.#open(call, now))

  #open(call: NewCall, now: number): OpenedCall {
    const { scope: name, callId, requestKeys, principal } = call
    const { sql } = this.#space
    const log = `call:${callId}` as const
    let scope = sql.get<Opening>(OPENING, log, requestKeys[0], this.#space.name, name)
    if (scope && scope.expires_at <= now) scope = undefined
    if (!scope && call.begins) {
      if (this.#isFull(call, now)) return { status: 'limit' }
      const { protocolVersion } = call.begins
      const begun = this.#space.begin(name, { ...call, kind: KIND.call, protocolVersion }, now)
      scope = { ...begun, mine: null, same: null, requests: 0 }
    }
    if (!scope || !isWhose(scope, principal) || !isOf(scope, call.server)) return { status: 'unknown' }
    this.#space.keepFor(scope, call.ttlMs, now)
    if (scope.mine !== null)
      return { status: 'opened', id: this.#firstId(scope.mine), admission: admission(scope) }
    const same = scope.same === null ? undefined : this.#attached(scope.same, now)
    if (same !== undefined) return { status: 'attached', callId: same, admission: admission(scope) }
    const size = Buffer.byteLength(call.data)
    if (this.#isTooMuch(scope, call, size)) return { status: 'limit' }
    const opened = sql.get<{ id: number }>(OPEN, scope.id, log, call.owner, size > LITTLE ? size : 0)!
    sql.run(INSERT, opened.id, now, 1, 0, call.data)
    for (const key of requestKeys)
      sql.run('INSERT OR REPLACE INTO requests VALUES (?, ?, ?)', scope.id, key, opened.id)
    this.#space.keep(name, scope.principal, log, [{ id: `${now}-1`, data: call.data }], now)
    return { status: 'opened', id: `${now}-1`, admission: admission(scope) }
  }

  #isFull({ principal, begins }: NewCall, now: number) {
    if (principal === undefined || begins?.maxPerPrincipal === undefined) return false
    const { sql, name } = this.#space
    return (sql.get<{ open: number }>(ALONE, name, principal, now)?.open ?? 0) >= begins.maxPerPrincipal
  }

  #firstId(log: number): string {
    const first = 'SELECT time, seq FROM entries WHERE log = ? ORDER BY time, seq LIMIT 1'
    const { time, seq } = this.#space.sql.get<{ time: number; seq: number }>(first, log)!
    return `${time}-${seq}`
  }

  /** The call of the same request, if it is open or its key was kept. */
  #attached(log: number, now: number): string | undefined {
    const { sql } = this.#space
    const find = 'SELECT id, log, owner, joined, expires_at FROM logs WHERE id = ?'
    const same = sql.get<Journal>(find, log)
    if (!same || (same.expires_at !== null && same.expires_at <= now)) return undefined
    if (same.owner !== null && !same.joined) sql.run('UPDATE logs SET joined = 1 WHERE id = ?', log)
    return same.log.slice('call:'.length)
  }

  #isTooMuch(scope: Opening, { requestKeys, maxOpenCalls, maxOpenBytes }: NewCall, size: number): boolean {
    const { sql } = this.#space
    // Keys that are kept by calls that have ended are counted only where it matters.
    if (scope.requests + requestKeys.length > maxOpenCalls) {
      const { open = 0 } = sql.get<{ open: number }>(`SELECT count(*) AS open ${OPEN_CALLS}`, scope.id) ?? {}
      if (open + requestKeys.length > maxOpenCalls) return true
    }
    if (size <= LITTLE || maxOpenBytes === undefined) return false
    const sum = `SELECT sum(size) AS bytes FROM (SELECT DISTINCT l.id, l.size ${OPEN_CALLS})`
    const others = sql.get<{ bytes: number | null }>(sum, scope.id)?.bytes ?? 0
    return others > 0 && others + size > maxOpenBytes
  }

  appendCall: Store['appendCall'] = async (scope, callId, entries, close, effect) => {
    requireAscending(entries)
    return this.#space.write((now) => this.#appendCall(now, scope, callId, entries, close, effect))
  }

  #appendCall(
    now: number,
    ...[name, callId, entries, close, effect]: Parameters<Store['appendCall']>
  ): CallAppended {
    const changed = effect && this.#space.live(name, now)
    const isRefused =
      (close?.unlessJoined && this.#find(name, callId, now)?.joined === 1) ||
      (effect && (!changed || this.#versionOf(changed, effect.key) !== effect.expected))
    const outcome = isRefused
      ? this.#wasApplied(name, callId, entries, now)
      : this.#append(name, callId, entries, now)
    if (typeof outcome === 'string') return outcome
    const { log, isNew } = outcome
    if (isNew && isRefused) return 'conflict'
    if (isNew && changed) changeValue(this.#space, changed, effect)
    if (close) this.#close(callId, log, close, now)
    const last = entries.at(-1)
    if (last) this.#space.wake(name, `call:${callId}`, last.id)
    return 'appended'
  }

  #append(name: string, callId: string, entries: readonly NewEntry[], now: number) {
    const [first, ...rest] = entries
    if (!first) return this.#wasApplied(name, callId, entries, now)
    const { sql } = this.#space
    const place = this.#entry(name, callId, first, now)
    const appended = sql.get<{ log: number }>(APPEND_FIRST, ...place)
    if (!appended) return this.#wasApplied(name, callId, entries, now)
    for (const entry of rest) sql.run(INSERT, appended.log, ...splitId(entry.id)!, after(entry), entry.data)
    this.#keep(name, callId, entries, now)
    return { log: appended.log, isNew: true }
  }

  #entry(name: string, callId: string, entry: NewEntry, now: number) {
    const [time, seq] = splitId(entry.id)!
    const journal = [this.#space.name, name, now, `call:${callId}`, now]
    return [...journal, time, seq, time, seq, after(entry), entry.data]
  }

  #keep(name: string, callId: string, entries: readonly NewEntry[], now: number) {
    if (this.#space.isKept)
      this.#space.keep(name, this.#space.live(name, now)!.principal, `call:${callId}`, entries, now)
  }

  /** An id that is there tells that its batch was applied; else it would be `isNew`, unless it is fenced. */
  #wasApplied(name: string, callId: string, entries: readonly NewEntry[], now: number) {
    const journal = this.#find(name, callId, now)
    const [first, last] = [entries[0], entries.at(-1)]
    if (!journal) return 'gone'
    if (!first || !last) return { log: journal.id, isNew: false }
    const held = 'SELECT 1 FROM entries WHERE log = ? AND time = ? AND seq = ?'
    if (this.#space.sql.get(held, journal.id, ...splitId(last.id)!)) return { log: journal.id, isNew: false }
    const above = 'SELECT 1 FROM entries WHERE log = ? AND (time, seq) >= (?, ?) LIMIT 1'
    const isFenced = this.#space.sql.get(above, journal.id, ...splitId(first.id)!) !== undefined
    return isFenced ? 'fenced' : { log: journal.id, isNew: true }
  }

  #find(name: string, callId: string, now: number): Journal | undefined {
    const find = `SELECT l.id, l.log, l.owner, l.joined, l.expires_at FROM ${JOURNAL}`
    return this.#space.sql.get<Journal>(find, this.#space.name, name, now, `call:${callId}`, now)
  }

  #versionOf(scope: Scope, key: string): number {
    const find = 'SELECT version FROM value_entries WHERE scope = ? AND key = ?'
    return this.#space.sql.get<{ version: number }>(find, scope.id, key)?.version ?? 0
  }

  #close(callId: string, log: number, close: CloseCall, now: number) {
    const { sql, engine } = this.#space
    const { requestKeys, keepKey, unexpected = [], endsScope } = close
    const expiresAt = Math.ceil(now + close.retainMs)
    const { scope } = sql.get<{ scope: number }>(CLOSE, keepKey ? requestKeys[0] : undefined, expiresAt, log)!
    // By now the same request may be another call.
    for (const key of keepKey ? requestKeys.slice(1) : requestKeys)
      sql.run('DELETE FROM requests WHERE scope = ? AND key = ? AND log = ?', scope, key, log)
    for (const name of unexpected) sql.run('DELETE FROM expected WHERE scope = ? AND name = ?', scope, name)
    const drop = 'UPDATE logs SET log = NULL, expires_at = 0 WHERE scope = ? AND log = ?'
    const hadInbox = sql.run(drop, scope, `call:${callId}:in`) > 0
    if (endsScope)
      sql.run('UPDATE scopes SET kind = ?, expires_at = ? WHERE id = ?', KIND.ended, expiresAt, scope)
    engine.expires(hadInbox ? 0 : expiresAt)
  }

  /** Each has an outcome of its own; none is there without those before it. */
  appendQuietly: Store['appendQuietly'] = async (scope, callId, entries) => {
    requireAscending(entries)
    return this.#space.write((now): QuietlyAppended => {
      for (const entry of entries) {
        const isNew = this.#space.sql.run(APPEND, ...this.#entry(scope, callId, entry, now)) > 0
        const outcome = isNew ? undefined : this.#wasApplied(scope, callId, [entry], now)
        if (typeof outcome === 'string') return outcome
        if (isNew) this.#keep(scope, callId, [entry], now)
      }
      return 'appended'
    })
  }

  findCalls: Store['findCalls'] = (scope, prefix) =>
    this.#space.read((now) => {
      const open = this.#list<{ key: string }>(
        `SELECT r.key, l.log, l.owner ${OPEN_CALLS} ORDER BY l.id`,
        scope,
        now,
      )
      return [...new Set(open.filter(({ key }) => key.startsWith(prefix)).map(({ callId }) => callId))]
    })

  listOpenCalls: Store['listOpenCalls'] = (scope) =>
    this.#space.read((now) => {
      const open = this.#list(`SELECT DISTINCT l.id, l.log, l.owner ${OPEN_CALLS} ORDER BY l.id`, scope, now)
      return open.map(({ callId, owner }) => ({ callId, owner }))
    })

  #list<T extends object>(sql: string, name: string, now: number) {
    const scope = this.#space.live(name, now)
    const rows = scope ? this.#space.sql.all<T & { log: string; owner: string }>(sql, scope.id) : []
    return rows.map((row) => ({ ...row, callId: row.log.slice('call:'.length) }))
  }

  claimCall: Store['claimCall'] = (name, callId, claim) =>
    this.#space.write((now) => {
      const { from, to, data, last, inbox, ttlMs, counts = 1 } = claim
      const { sql } = this.#space
      const scope = this.#space.live(name, now)
      const log = `call:${callId}` as const
      const call =
        scope && sql.get<{ id: number; owner: string; claims: number }>(OPEN_CALL, scope.id, log, now)
      const newest = scope && this.#last(scope.id, log)
      if (!scope || !call || !newest) return undefined
      // The repetition of a claim that was applied: its owner appends nothing before it knows of it.
      if (call.owner === to && newest.data === data) return { id: newest.id, claims: call.claims }
      if (call.owner !== from || (last !== undefined && newest.id !== last)) return undefined
      if (inbox !== undefined && (this.#last(scope.id, `${log}:in`)?.id ?? BEGINNING) !== inbox)
        return undefined
      const [epoch, claims] = [Math.max(newest.time + 1, now), call.claims + counts]
      const id = `${epoch}-1`
      sql.run(INSERT, call.id, epoch, 1, 0, data)
      sql.run('UPDATE logs SET owner = ?, claims = ? WHERE id = ?', to, claims, call.id)
      sql.run(LIVES_ON, scope.id, log, `${log}:in`, now)
      if (ttlMs !== undefined) this.#space.expireAt(scope, now + ttlMs)
      this.#space.keep(name, scope.principal, log, [{ id, data }], now)
      this.#space.wake(name, log, id)
      return { id, claims }
    })

  #last(scope: number, log: string) {
    const newest = `SELECT time, seq, data FROM entries WHERE log = (SELECT id FROM logs WHERE scope = ? AND log = ?)
      ORDER BY time DESC, seq DESC LIMIT 1`
    const row = this.#space.sql.get<{ time: number; seq: number; data: string }>(newest, scope, log)
    return row && { id: `${row.time}-${row.seq}`, time: row.time, data: row.data }
  }
}

const after = ({ after: ms = 0 }: NewEntry) => Math.round(ms)

/** Else the first entries of a batch would be there, and a later one refused. */
function requireAscending(entries: readonly NewEntry[]) {
  let previous = [-1, -1]
  for (const { id } of entries) {
    const next = splitId(id)
    if (!next || next[0] < previous[0]! || (next[0] === previous[0] && next[1] <= previous[1]!))
      throw new StoreError('store-failed', 'The ids of a batch must be entry ids that grow.')
    previous = next
  }
}
