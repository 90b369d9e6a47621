import type { AppendOptions, Entry, EntryId, SharedLog, Store } from '@mcp-durable/core/store'
import { BEGINNING, OLDEST } from '@mcp-durable/core/store'
import { splitId } from './ids.js'
import { answerOf, remember } from './sessions.js'
import { isOf, KIND } from './space.js'
import type { Scope, Space } from './space.js'

/** Of so many bytes at most an entry comes with its wake-up. */
const SMALL = 4096
/** Entries that are read at once, where their bytes are limited: no more are taken than are likely to fit. */
const FIRST_READ = 8

type Log = { id: number; entries: number; bytes: number; time: number | null; seq: number | null }
type Row = { time: number; seq: number; data: string }

const LOG = `SELECT l.id, l.entries, l.bytes, e.time, e.seq FROM logs l
  LEFT JOIN entries e ON e.log = l.id AND (e.time, e.seq) =
    (SELECT time, seq FROM entries WHERE log = l.id ORDER BY time DESC, seq DESC LIMIT 1)
  WHERE l.scope = ? AND l.log = ?`
const PLACE = `SELECT l.id, l.trimmed FROM scopes s JOIN logs l ON l.scope = s.id AND l.log = ?
  WHERE s.name = ? AND s.scope = ? AND s.expires_at > ? AND (l.expires_at IS NULL OR l.expires_at > ?)`
const FROM = `SELECT time, seq, data FROM entries WHERE log = ? AND (time, seq) >= (?, ?) ORDER BY time, seq LIMIT ?`

export const INSERT = 'INSERT INTO entries (log, time, seq, after, data) VALUES (?, ?, ?, ?, ?)'
const OPEN = 'SELECT 1 FROM logs WHERE scope = ? AND log = ? AND owner IS NOT NULL'

/** The logs that any node writes, and how any log is read. */
export class Logs implements Pick<Store, 'append' | 'expect' | 'read' | 'dropLog'> {
  readonly #space: Space

  constructor(space: Space) {
    this.#space = space
  }

  append: Store['append'] = (name, log, data, options) =>
    this.#space.write((now) => {
      const { sql } = this.#space
      const { nonce, answers, ifOpen, begins } = options
      const scope = this.#space.live(name, now) ?? this.#begin(name, options, now)
      if (!scope || !isOf(scope, options.server)) return undefined
      if (begins) this.#space.expireAt(scope, now + begins.ttlMs)
      const repeated = answerOf(this.#space, scope.id, nonce, now)
      if (repeated !== undefined) return repeated
      if (ifOpen !== undefined && !this.#isOpen(scope, ifOpen)) return undefined
      const expected = 'SELECT 1 FROM expected WHERE scope = ? AND name = ?'
      if (answers !== undefined && !sql.get(expected, scope.id, answers)) return undefined
      const appended = this.#append(scope.id, log, data, options, now)
      if (!appended) return false
      if (answers !== undefined) this.#unexpect(scope.id, answers)
      const { id, previous } = appended
      remember(this.#space, scope.id, nonce, id, now)
      const entries = [{ id, data }]
      this.#space.keep(name, scope.principal, log, entries, now)
      const isSmall = data.length <= SMALL && Buffer.byteLength(data) <= SMALL
      this.#space.wake(name, log, id, isSmall ? { previous, entries } : undefined)
      return id
    })

  #begin(name: string, { begins, server }: AppendOptions, now: number) {
    return begins && this.#space.begin(name, { kind: KIND.log, server, ...begins }, now)
  }

  #append(scope: number, name: SharedLog, data: string, options: AppendOptions, now: number) {
    const { maxLength, maxBytes = Number.POSITIVE_INFINITY, whenFull } = options
    const { sql } = this.#space
    const log = sql.get<Log>(LOG, scope, name)
    const bytes = (log?.bytes ?? 0) + Buffer.byteLength(data)
    const entries = (log?.entries ?? 0) + 1
    if (whenFull === 'refuse' && (entries > maxLength || bytes > maxBytes)) return undefined
    const begin = 'INSERT INTO logs (scope, log) VALUES (?, ?) RETURNING id'
    const { id } = log ?? sql.get<{ id: number }>(begin, scope, name)!
    const last = [log?.time ?? 0, log?.seq ?? 0] as const
    const [time, seq] = last[0] >= now ? [last[0], last[1] + 1] : [now, 0]
    sql.run(INSERT, id, time, seq, 0, data)
    const isFull = (entries > maxLength || bytes > maxBytes) && entries > 1
    if (isFull) this.#trim(id, entries, bytes, maxLength, maxBytes)
    else sql.run('UPDATE logs SET entries = ?, bytes = ? WHERE id = ?', entries, bytes, id)
    return { id: `${time}-${seq}`, previous: `${last[0]}-${last[1]}` }
  }

  /** The newest entry always has room. */
  #trim(id: number, entries: number, bytes: number, maxLength: number, maxBytes: number) {
    const { sql } = this.#space
    let [left, held] = [entries, bytes]
    while ((left > maxLength || held > maxBytes) && left > 1) {
      const oldest = 'SELECT time, seq, data FROM entries WHERE log = ? ORDER BY time, seq LIMIT 1'
      const { time, seq, data } = sql.get<Row>(oldest, id)!
      sql.run('DELETE FROM entries WHERE log = ? AND time = ? AND seq = ?', id, time, seq)
      left -= 1
      held -= Buffer.byteLength(data)
    }
    sql.run('UPDATE logs SET entries = ?, bytes = ?, trimmed = 1 WHERE id = ?', left, held, id)
  }

  #isOpen(scope: Scope, callId: string): boolean {
    return this.#space.sql.get(OPEN, scope.id, `call:${callId}`) !== undefined
  }

  #unexpect(scope: number, name: string) {
    this.#space.sql.run('DELETE FROM expected WHERE scope = ? AND name = ?', scope, name)
  }

  expect: Store['expect'] = (name, answer, { ifOpen } = {}) =>
    this.#space.write((now) => {
      const scope = this.#space.live(name, now)
      if (!scope || (ifOpen !== undefined && !this.#isOpen(scope, ifOpen))) return false
      this.#space.sql.run('INSERT OR IGNORE INTO expected VALUES (?, ?)', scope.id, answer)
      return true
    })

  read: Store['read'] = (name, log, after, limit, maxBytes = Number.POSITIVE_INFINITY) =>
    this.#space.read((now) => {
      const [isStart, cursor] = [after === BEGINNING || after === OLDEST, splitId(after)]
      if (!isStart && !cursor) return undefined
      const { sql } = this.#space
      const place = sql.get<{ id: number; trimmed: number }>(PLACE, log, this.#space.name, name, now, now)
      if (!place) return isStart ? [] : undefined
      if (after === BEGINNING && place.trimmed) return undefined
      return isStart || !cursor
        ? this.#page(place.id, [0, 0], Math.max(1, limit), maxBytes)
        : this.#behind(place.id, cursor, Math.max(1, limit), maxBytes)
    })

  /** Reading includes the cursor, which proves that the log still holds it. */
  #behind(log: number, cursor: [number, number], limit: number, maxBytes: number): Entry[] | undefined {
    const [time, seq] = cursor
    if (maxBytes === Number.POSITIVE_INFINITY) {
      const [first, ...rest] = this.#space.sql.all<Row>(FROM, log, time, seq, limit + 1)
      return first?.time === time && first.seq === seq ? rest.map(entryOf) : undefined
    }
    const held = 'SELECT 1 FROM entries WHERE log = ? AND time = ? AND seq = ?'
    if (!this.#space.sql.get(held, log, time, seq)) return undefined
    return this.#page(log, [time, seq + 1], limit, maxBytes)
  }

  #page(log: number, from: [number, number], limit: number, maxBytes: number): Entry[] {
    const page: Entry[] = []
    let [[time, seq], bytes] = [from, 0]
    for (let most = maxBytes === Number.POSITIVE_INFINITY ? limit : FIRST_READ; ; most *= 4) {
      const asked = Math.min(most, limit - page.length)
      const rows = this.#space.sql.all<Row>(FROM, log, time, seq, asked)
      for (const row of rows) {
        page.push(entryOf(row))
        bytes += Buffer.byteLength(row.data)
        if (bytes >= maxBytes) return page
        ;[time, seq] = [row.time, row.seq + 1]
      }
      if (rows.length < asked || page.length >= limit) return page
    }
  }

  dropLog: Store['dropLog'] = (name, log, names = []) =>
    this.#space.write((now) => {
      const scope = this.#space.live(name, now)
      if (!scope) return
      for (const each of names) this.#unexpect(scope.id, each)
      dropLog(this.#space, scope.id, log)
    })
}

/** Its entries go later; it is no open call any more. */
export function dropLog({ sql, engine }: Space, scope: number, log: string) {
  const detach =
    'UPDATE logs SET log = NULL, owner = NULL, expires_at = 0 WHERE scope = ? AND log = ? RETURNING id'
  const dropped = sql.get<{ id: number }>(detach, scope, log)
  if (!dropped) return
  if (!log.endsWith(':in')) sql.run('DELETE FROM requests WHERE scope = ? AND log = ?', scope, dropped.id)
  engine.expires(0)
}

const entryOf = ({ time, seq, data }: Row): { id: EntryId; data: string } => ({ id: `${time}-${seq}`, data })
