import type { Statements } from './statements.js'

/** So many rows go in one transaction, in which nobody else writes. */
const BITE = 500
/** Free pages are used again; those above so many are given back to the file system, a few at once. */
const MOST_FREE = 1024
const PAGES = 256
const LEAST_MS = 1_000
const LATER_MS = 60_000
/** Timers of Node.js beyond it fire at once. */
const LONGEST_MS = 2 ** 31 - 1

/** Of the whole one, what is needed here. `sql`: within a transaction. */
type Engine = {
  readonly sql: Statements
  read<T>(work: (now: number) => T): Promise<T>
  write<T>(work: (now: number) => T): Promise<T>
}

/** What has expired, or was deleted, is found by nobody; here its rows go, a few at a time. One timer, and none when nothing is left. */
export class Expiry {
  readonly #engine: Engine
  #timer: NodeJS.Timeout | undefined
  #at = Number.POSITIVE_INFINITY
  /** What would sweep then would open the file again. */
  #isStopped = false

  constructor(engine: Engine) {
    this.#engine = engine
  }

  start() {
    this.#isStopped = false
    this.expires(Date.now())
  }

  stop() {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#at = Number.POSITIVE_INFINITY
  }

  expires(at: number) {
    if (at >= this.#at || this.#isStopped) return
    this.#at = at
    clearTimeout(this.#timer)
    const ms = Math.min(Math.max(at - Date.now(), LEAST_MS), LONGEST_MS)
    this.#timer = setTimeout(() => void this.#sweep(), ms).unref()
  }

  async #sweep() {
    this.#at = Number.POSITIVE_INFINITY
    try {
      while (!this.#isStopped) {
        const next = await this.#engine.read(() => this.#next())
        if (next === undefined) return
        if (next > Date.now()) return this.expires(next)
        await this.#engine.write((now) => bite(this.#engine.sql, now))
      }
    } catch {
      // The file is away, full or busy: what has expired can wait.
      this.expires(Date.now() + LATER_MS)
    }
  }

  #next(): number | undefined {
    if (freePages(this.#engine.sql) > MOST_FREE) return 0
    return this.#engine.sql.get<{ next: number | null }>(NEXT)?.next ?? undefined
  }
}

const BY_ROWS = ['nonces', 'value_marks', 'map_marks', 'places'] as const
const NEXT = `SELECT min(next) AS next FROM (${[...BY_ROWS, 'scopes', 'logs', 'histories']
  .map((table) => `SELECT min(expires_at) AS next FROM ${table} WHERE expires_at IS NOT NULL`)
  .join(' UNION ALL ')})`

/** What belongs to a scope, apart from its logs: table and key. */
const OF_SCOPES = [
  ['states', 'key'],
  ['requests', 'key'],
  ['expected', 'name'],
  ['nonces', 'nonce'],
  ['value_entries', 'key'],
  ['value_marks', 'mark'],
] as const
const KEYS = {
  nonces: 'scope, nonce',
  value_marks: 'scope, mark',
  map_marks: 'map, mark',
  places: 'name, quota, scope, call',
}

function bite(sql: Statements, now: number) {
  let left = BITE
  for (const table of BY_ROWS) {
    const keys = KEYS[table]
    left -= sql.run(
      `DELETE FROM ${table} WHERE (${keys}) IN (SELECT ${keys} FROM ${table} WHERE expires_at <= ? LIMIT ?)`,
      now,
      BITE,
    )
  }
  while (left > 0) {
    const gone =
      dropLogs(sql, 'expires_at <= ?', now, left) || dropScope(sql, now, left) || dropHistory(sql, now, left)
    if (gone === 0) break
    left -= gone
  }
  if (freePages(sql) > MOST_FREE) sql.vacuum(PAGES)
}

const freePages = (sql: Statements) =>
  sql.get<{ freelist_count: number }>('PRAGMA freelist_count')?.freelist_count ?? 0

type Log = { id: number; scope: number; owner: string | null; kept_key: string | null }

/** Of the first log that is one of these; answers how many rows have gone, 0 if there is none. */
function dropLogs(sql: Statements, which: string, value: number, most: number): number {
  const log = sql.get<Log>(`SELECT id, scope, owner, kept_key FROM logs WHERE ${which} LIMIT 1`, value)
  if (!log) return 0
  const gone = dropEntries(sql, 'entries', 'log', log.id, most)
  if (gone >= most) return gone
  if (log.kept_key !== null)
    sql.run('DELETE FROM requests WHERE scope = ? AND key = ? AND log = ?', log.scope, log.kept_key, log.id)
  if (log.owner !== null) sql.run('DELETE FROM requests WHERE scope = ? AND log = ?', log.scope, log.id)
  return gone + sql.run('DELETE FROM logs WHERE id = ?', log.id)
}

function dropScope(sql: Statements, now: number, most: number): number {
  const scope = sql.get<{ id: number }>('SELECT id FROM scopes WHERE expires_at <= ? LIMIT 1', now)
  if (!scope) return 0
  let left = most - dropLogs(sql, 'scope = ?', scope.id, most)
  for (const [table, key] of left === most ? OF_SCOPES : []) {
    if (left > 0)
      left -= sql.run(
        `DELETE FROM ${table} WHERE scope = ? AND ${key} IN (SELECT ${key} FROM ${table} WHERE scope = ? LIMIT ?)`,
        scope.id,
        scope.id,
        left,
      )
  }
  if (left === most) left -= sql.run('DELETE FROM scopes WHERE id = ?', scope.id)
  return most - left
}

function dropHistory(sql: Statements, now: number, most: number): number {
  const history = sql.get<{ id: number }>('SELECT id FROM histories WHERE expires_at <= ? LIMIT 1', now)
  if (!history) return 0
  const gone = dropEntries(sql, 'history_entries', 'history', history.id, most)
  return gone < most ? gone + sql.run('DELETE FROM histories WHERE id = ?', history.id) : gone
}

/** The first entries of a log, or of a history. */
function dropEntries(sql: Statements, table: string, of: string, id: number, most: number): number {
  const last = sql.get<{ time: number; seq: number }>(
    `SELECT time, seq FROM ${table} WHERE ${of} = ? ORDER BY time, seq LIMIT 1 OFFSET ?`,
    id,
    most - 1,
  )
  return last
    ? sql.run(`DELETE FROM ${table} WHERE ${of} = ? AND (time, seq) <= (?, ?)`, id, last.time, last.seq)
    : sql.run(`DELETE FROM ${table} WHERE ${of} = ?`, id)
}
