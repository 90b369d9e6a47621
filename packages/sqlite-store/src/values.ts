import type { ContextStore, NewScope, Store, ValueChange } from '@mcp-durable/core/store'
import { isWhose, KIND, NONCE_MS } from './space.js'
import type { Scope, Space } from './space.js'

type Value = { version: number; bytes: number }

const COUNT = `SELECT count(*) AS live FROM scopes
  WHERE name = ? AND principal = ? AND kind = ${KIND.values} AND expires_at > ? AND scope IS NOT NULL`

/** Values, and the scopes that hold nothing else: the state of a principal, or of a handle. */
export class Values implements Pick<ContextStore, 'readValue' | 'writeValue' | 'beginScope' | 'useScope'> {
  readonly #space: Space

  constructor(space: Space) {
    this.#space = space
  }

  readValue: Store['readValue'] = (scope, key) =>
    this.#space.read((now) => {
      const { sql } = this.#space
      const found = this.#space.live(scope, now)
      const read = 'SELECT version, data FROM value_entries WHERE scope = ? AND key = ?'
      const row = found && sql.get<{ version: number; data: string }>(read, found.id, key)
      return row && { version: row.version, data: row.data }
    })

  writeValue: Store['writeValue'] = (name, key, expected, data, options = {}) =>
    this.#space.write((now) => {
      const {
        mark,
        formerMark = mark,
        markMs = NONCE_MS,
        begins,
        maxBytes = Number.POSITIVE_INFINITY,
      } = options
      const scope = this.#space.live(name, now) ?? (begins && this.#begin(name, begins, now))
      if (!scope || (begins && !isWhose(scope, begins.principal))) return 'unknown'
      this.#use(scope, begins?.ttlMs ?? scope.ttl_ms, now)
      const { sql, engine } = this.#space
      const seen = 'SELECT 1 FROM value_marks WHERE scope = ? AND mark IN (?, ?) AND expires_at > ?'
      if (mark !== undefined && sql.get(seen, scope.id, mark, formerMark, now)) return 'repeated'
      const changed = changeValue(this.#space, scope, { key, expected, data }, maxBytes)
      if (mark === undefined || typeof changed === 'string') return changed
      const until = Math.ceil(now + markMs)
      sql.run('INSERT OR REPLACE INTO value_marks VALUES (?, ?, ?)', scope.id, mark, until)
      engine.expires(until)
      return changed
    })

  beginScope: Store['beginScope'] = (name, whose, { maxPerPrincipal }) =>
    this.#space.write((now) => {
      if (this.#space.live(name, now)) return 'begun'
      const { sql } = this.#space
      const count = () => sql.get<{ live: number }>(COUNT, this.#space.name, whose.principal, now)?.live ?? 0
      if (whose.principal !== undefined && count() >= maxPerPrincipal) return 'limit'
      this.#begin(name, whose, now)
      return 'begun'
    })

  useScope: Store['useScope'] = (name, principal) =>
    this.#space.write((now) => {
      const scope = this.#space.live(name, now)
      if (!scope || scope.ttl_ms === null || !isWhose(scope, principal)) return false
      this.#use(scope, scope.ttl_ms, now)
      return true
    })

  /** Versions go up even if it was there before, and has expired. */
  #begin(name: string, { principal, ttlMs }: NewScope, now: number): Scope {
    return this.#space.begin(
      name,
      { kind: KIND.values, principal, ttlMs, isUsed: true, valueVersion: now },
      now,
    )
  }

  #use(scope: Scope, ttlMs: number | null, now: number) {
    if (ttlMs === null) return
    const whole = Math.ceil(ttlMs)
    if (whole !== scope.ttl_ms)
      this.#space.sql.run('UPDATE scopes SET ttl_ms = ? WHERE id = ?', whole, scope.id)
    if (scope.expires_at !== now + whole) this.#space.expireAt(scope, now + whole)
  }
}

/** Resolves to the new version, 0 when it is deleted. */
export function changeValue(
  { sql }: Space,
  scope: Scope,
  { key, expected, data }: ValueChange,
  maxBytes = Number.POSITIVE_INFINITY,
): number | 'conflict' | 'full' {
  const find = 'SELECT version, bytes FROM value_entries WHERE scope = ? AND key = ?'
  const before = sql.get<Value>(find, scope.id, key)
  if ((before?.version ?? 0) !== expected) return 'conflict'
  const bytes = data === undefined ? 0 : Buffer.byteLength(key) + Buffer.byteLength(data)
  const more = bytes - (before?.bytes ?? 0)
  if (more > 0 && scope.value_bytes + more > maxBytes) return 'full'
  const version = ++scope.value_version
  scope.value_bytes += more
  const note = 'UPDATE scopes SET value_version = ?, value_bytes = ? WHERE id = ?'
  sql.run(note, version, scope.value_bytes, scope.id)
  if (data === undefined) {
    sql.run('DELETE FROM value_entries WHERE scope = ? AND key = ?', scope.id, key)
    return 0
  }
  sql.run('INSERT OR REPLACE INTO value_entries VALUES (?, ?, ?, ?, ?)', scope.id, key, version, bytes, data)
  return version
}
