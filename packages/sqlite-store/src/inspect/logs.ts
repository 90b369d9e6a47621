import type { LogsInspection, TimedEntry } from '@mcp-durable/core/inspect'
import type { EntryId, LogName } from '@mcp-durable/core/store'
import type { Reading } from './reading.js'

type EntryRow = { time: number; seq: number; after: number; data: string }

const LOG = `log = (SELECT l.id FROM logs l JOIN scopes s ON s.id = l.scope
  WHERE s.name = ? AND s.scope = ? AND s.expires_at > ?3 AND l.log = ? AND (l.expires_at IS NULL OR l.expires_at > ?3))`

export class SqliteLogs implements LogsInspection {
  readonly #reading: Reading

  constructor(reading: Reading) {
    this.#reading = reading
  }

  async read(scope: string, log: LogName, after: EntryId | undefined, limit: number): Promise<TimedEntry[]> {
    const [time, seq] = (after ?? '0-0').split('-').map(Number)
    const rows = await this.#entries('AND (time, seq) > (?5, ?6) ORDER BY time, seq LIMIT ?7', scope, log, [
      time ?? 0,
      seq ?? 0,
      limit,
    ])
    return rows.map(timed)
  }

  async newest(scope: string, log: LogName, limit: number): Promise<TimedEntry[]> {
    const rows = await this.#entries('ORDER BY time DESC, seq DESC LIMIT ?5', scope, log, [limit])
    return rows.map(timed).toReversed()
  }

  #entries(more: string, scope: string, log: LogName, values: number[]): Promise<EntryRow[]> {
    const sql = `SELECT time, seq, after, data FROM entries WHERE ${LOG} ${more}`
    return this.#reading.all<EntryRow>(sql, this.#reading.name, scope, Date.now(), log, ...values)
  }

  size(scope: string, log: LogName): Promise<number> {
    const sql = `SELECT count(*) AS n FROM entries WHERE ${LOG}`
    return this.#reading.number(sql, this.#reading.name, scope, Date.now(), log)
  }

  async expiresInMs(scope: string, log: LogName): Promise<number | undefined> {
    const now = Date.now()
    const row = await this.#reading.get<{ at: number }>(
      `SELECT coalesce(l.expires_at, s.expires_at) AS at FROM logs l JOIN scopes s ON s.id = l.scope
       WHERE s.name = ? AND s.scope = ? AND l.log = ?`,
      this.#reading.name,
      scope,
      log,
    )
    return row && row.at > now ? row.at - now : undefined
  }
}

const timed = ({ time, seq, after, data }: EntryRow): TimedEntry => ({
  id: `${time}-${seq}`,
  data,
  at: time + after,
})
