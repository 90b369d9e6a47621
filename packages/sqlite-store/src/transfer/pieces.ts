import type { LogName, Quota } from '@mcp-durable/core/store'
import { pagesOf } from '@mcp-durable/core/transfer'
import type {
  DuePiece,
  HistoryPiece,
  ListedPiece,
  LogPiece,
  MapPiece,
  MarksPiece,
  NodePiece,
  Piece,
  PlacesPiece,
  ValuesPiece,
  WaitingPiece,
} from '@mcp-durable/core/transfer'
import { KIND } from '../space.js'
import type { Reading } from '../inspect/reading.js'
import { digestOf } from '../principals.js'
import { readScope } from './scope.js'
import type { LogRow, ScopeRow } from './scope.js'

const PAGE = 200
/** Marks are small. */
const MARKS = 1000

type EntryRow = { time: number; seq: number; after: number; data: string }
type HistoryRow = { id: number; scope: string; principal: string | null; expires_at: number }
type HistoryEntryRow = { time: number; seq: number; log: LogName | 'state'; entry: string; data: string }

/** What the tables hold under a name, by the order of their keys. */
export class Pieces {
  readonly #reading: Reading

  constructor(reading: Reading) {
    this.#reading = reading
  }

  async names(): Promise<string[]> {
    const tables = ['scopes', 'maps', 'nodes', 'due', 'histories'].map((table) => `SELECT name FROM ${table}`)
    const rows = await this.#reading.all<{ name: string }>(
      `SELECT DISTINCT name FROM (${tables.join(' UNION ALL ')}) WHERE name <> '' ORDER BY name`,
    )
    return rows.map(({ name }) => name.slice(1))
  }

  async *all(): AsyncGenerator<Piece> {
    yield* this.#nodes()
    yield* this.#due()
    yield* this.#places()
    yield* this.#waiting()
    yield* this.#maps()
    yield* this.#histories()
    yield* this.#scopes()
  }

  async *#nodes(): AsyncGenerator<NodePiece> {
    const nodes = await this.#reading.all<{ node: string; beat_at: number | null; about: string }>(
      'SELECT node, beat_at, about FROM nodes WHERE name = ?',
      this.#reading.name,
    )
    for (const { node, beat_at: beatAt, about } of nodes) {
      const held = await this.#reading.all<{ scope: string }>(
        'SELECT scope FROM held WHERE name = ? AND node = ?',
        this.#reading.name,
        node,
      )
      yield { kind: 'node', node, beatAt: beatAt ?? 0, about, held: held.map(({ scope }) => scope) }
    }
  }

  async *#due(): AsyncGenerator<DuePiece> {
    let after = ['', '', '']
    for (;;) {
      const page = await this.#reading.all<DuePiece['entries'][number]>(
        `SELECT scope, call AS callId, nonce, at FROM due
         WHERE name = ? AND (scope, call, nonce) > (?, ?, ?) ORDER BY scope, call, nonce LIMIT ?`,
        this.#reading.name,
        ...after,
        PAGE,
      )
      const entries = page.map(({ scope, callId, nonce, at }) => ({ scope, callId, nonce, at }))
      if (entries.length > 0) yield { kind: 'due', entries }
      const last = entries.at(-1)
      if (page.length < PAGE || !last) return
      after = [last.scope, last.callId, last.nonce]
    }
  }

  async *#places(): AsyncGenerator<PlacesPiece> {
    const quotas = await this.#reading.all<{ quota: string }>(
      'SELECT DISTINCT quota FROM places WHERE name = ?',
      this.#reading.name,
    )
    for (const { quota } of quotas) {
      const rows = await this.#reading.all<{
        scope: string
        call: string
        at: number
        expires_at: number | null
      }>(
        `SELECT scope, call, at, expires_at FROM places
         WHERE name = ? AND quota = ? AND (expires_at IS NULL OR expires_at > ?)`,
        this.#reading.name,
        quota,
        Date.now(),
      )
      const places = rows.map(({ scope, call, at }) => ({ scope, callId: call, takenAt: at }))
      const longest = rows.reduce((ms, { at, expires_at: until }) => Math.max(ms, (until ?? at) - at), 0)
      const windowMs = longest === 0 ? undefined : longest
      if (places.length > 0) yield { kind: 'places', quota, places, windowMs }
    }
  }

  async *#waiting(): AsyncGenerator<WaitingPiece> {
    const rows = await this.#reading.all<{
      scope: string
      call: string
      since: number
      quotas: string
      quota: string
      given_at: number | null
    }>(
      'SELECT scope, call, since, quotas, quota, given_at FROM waiting WHERE name = ? ORDER BY id',
      this.#reading.name,
    )
    for (const { scope, call, since, quotas, quota, given_at: givenAt } of rows)
      yield {
        kind: 'waiting',
        call: { scope, callId: call },
        at: since,
        on: quota,
        quotas: JSON.parse(quotas) as Quota[],
        givenAt: givenAt ?? undefined,
      }
  }

  async *#maps(): AsyncGenerator<MapPiece | MarksPiece> {
    const maps = await this.#reading.all<{ id: number; map: string }>(
      'SELECT id, map FROM maps WHERE name = ?',
      this.#reading.name,
    )
    for (const { id, map } of maps) {
      const pages = pagesOf<{ key: string; value: string }>(
        (after, most) =>
          this.#reading.all(
            `SELECT key, value FROM map_entries WHERE map = ? AND key ${after ? '>' : '>='} ? ORDER BY key LIMIT ?`,
            id,
            Buffer.from(after?.key ?? ''),
            most,
          ),
        ({ key, value }) => Buffer.byteLength(key) + Buffer.byteLength(value),
      )
      for await (const { page, first } of pages)
        yield { kind: 'map', map, first, entries: page.map(({ key, value }) => [key, value]) }
      yield* this.#marks('map_marks', 'map', id, { of: { map }, scopeExpiresAt: undefined })
    }
  }

  async *#marks(
    table: string,
    column: string,
    id: number,
    whose: Pick<MarksPiece, 'of' | 'scopeExpiresAt'>,
  ): AsyncGenerator<MarksPiece> {
    const left = `FROM ${table} WHERE ${column} = ? AND expires_at > ?`
    const now = Date.now()
    const expiresAt = await this.#reading.number(`SELECT max(expires_at) AS n ${left}`, id, now)
    for (let after = '', first = true; ; first = false) {
      const marks = await this.#reading.all<{ mark: string; until: number }>(
        `SELECT mark, expires_at AS until ${left} AND mark > ? ORDER BY mark LIMIT ?`,
        id,
        now,
        after,
        MARKS,
      )
      const last = marks.at(-1)
      if (last) yield { kind: 'marks', ...whose, first, marks, expiresAt }
      if (marks.length < MARKS || !last) return
      after = last.mark
    }
  }

  async *#histories(): AsyncGenerator<HistoryPiece | ListedPiece> {
    const sql = `SELECT id, scope, principal, expires_at FROM histories
      WHERE name = ? AND scope IS NOT NULL AND expires_at > ? AND id > ? ORDER BY id LIMIT ?`
    for await (const page of this.#reading.pages<HistoryRow>(sql, PAGE, this.#reading.name, Date.now())) {
      for (const { id, scope, principal, expires_at: expiresAt } of page) {
        yield* this.#history(id, scope, expiresAt)
        if (principal !== null)
          yield {
            kind: 'listed',
            list: 'kept',
            principal: digestOf(principal),
            scopes: [{ scope, until: expiresAt }],
          }
      }
    }
  }

  async *#history(id: number, scope: string, expiresAt: number): AsyncGenerator<HistoryPiece> {
    const pages = pagesOf<HistoryEntryRow>(
      (after, most) =>
        this.#reading.all(
          `SELECT time, seq, log, entry, data FROM history_entries
           WHERE history = ? AND (time, seq) > (?, ?) ORDER BY time, seq LIMIT ?`,
          id,
          ...placeBehind(after),
          most,
        ),
      ({ data }) => Buffer.byteLength(data),
    )
    for await (const { page, first } of pages) {
      const entries = page.map(({ time, seq, log, entry, data }) => ({
        id: `${time}-${seq}`,
        log,
        entry,
        data,
      }))
      yield { kind: 'history', scope, first, entries, expiresAt }
    }
  }

  async *#scopes(): AsyncGenerator<Piece> {
    const sql = `SELECT * FROM scopes WHERE name = ? AND scope IS NOT NULL AND expires_at > ? AND id > ? ORDER BY id LIMIT ?`
    for await (const page of this.#reading.pages<ScopeRow>(sql, PAGE, this.#reading.name, Date.now())) {
      for (const row of page) {
        const logs = await this.#reading.all<LogRow>(
          `SELECT id, log, owner, claims, joined, size, kept_key, bytes, trimmed, expires_at FROM logs
           WHERE scope = ? AND log IS NOT NULL AND (expires_at IS NULL OR expires_at > ?)`,
          row.id,
          Date.now(),
        )
        yield await readScope(this.#reading, row, logs)
        for (const log of logs) yield* this.#log(row, log, logs)
        yield* this.#values(row)
        yield* this.#marks('value_marks', 'scope', row.id, {
          of: { scope: row.scope },
          scopeExpiresAt: row.expires_at,
        })
        yield* listedBy(row)
      }
    }
  }

  async *#log(scope: ScopeRow, row: LogRow, logs: readonly LogRow[]): AsyncGenerator<LogPiece> {
    // The inbox of no call is a server object's, and goes with its scope.
    const of = row.log.endsWith(':in') ? logs.find(({ log }) => `${log}:in` === row.log) : row
    const rest = {
      kind: 'log',
      scope: scope.scope,
      log: row.log,
      isTrimmed: row.trimmed !== 0,
      expiresAt: row.expires_at ?? scope.expires_at,
      scopeExpiresAt: scope.expires_at,
      endsAlone: !of || (of.owner === null && row.expires_at !== null),
    } as const
    const pages = pagesOf<EntryRow>(
      (after, most) =>
        this.#reading.all(
          `SELECT time, seq, after, data FROM entries
           WHERE log = ? AND (time, seq) > (?, ?) ORDER BY time, seq LIMIT ?`,
          row.id,
          ...placeBehind(after),
          most,
        ),
      ({ data }) => Buffer.byteLength(data),
    )
    for await (const { page, first } of pages) {
      const entries = page.map(({ time, seq, after, data }) => ({
        id: `${time}-${seq}`,
        data,
        ...(after > 0 && { after }),
      }))
      yield { ...rest, first, entries }
    }
  }

  async *#values({
    id,
    scope,
    value_version: version,
    expires_at: expiresAt,
  }: ScopeRow): AsyncGenerator<ValuesPiece> {
    if (version === 0) return
    const values = await this.#reading.all<ValuesPiece['values'][number]>(
      'SELECT key, version, data FROM value_entries WHERE scope = ?',
      id,
    )
    yield { kind: 'values', scope, version, values, expiresAt, scopeExpiresAt: expiresAt }
  }
}

const placeBehind = (after: { time: number; seq: number } | undefined): [number, number] =>
  after ? [after.time, after.seq] : [0, -1]

const LISTS = {
  [KIND.session]: 'principal',
  [KIND.call]: 'calls',
  [KIND.ended]: 'ended',
  [KIND.values]: 'values',
} as const

/** Stores that list what the tables have an index for. An entry may last longer than what it names. */
function* listedBy({ scope, kind, principal, expires_at: expiresAt }: ScopeRow): Generator<ListedPiece> {
  const scopes = [{ scope, until: Math.ceil(expiresAt + Math.max(0, expiresAt - Date.now()) / 10) }]
  if (kind === KIND.session) yield { kind: 'listed', list: 'sessions', principal: undefined, scopes }
  const list = LISTS[kind as keyof typeof LISTS]
  if (principal !== null && list !== undefined)
    yield { kind: 'listed', list, principal: digestOf(principal), scopes }
}
