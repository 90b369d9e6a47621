import type { Forgotten, HistoryEntry, HistoryStore } from '@mcp-durable/core/store'
import { splitId } from './ids.js'
import { digestOf, principalOfDigest } from './principals.js'
import { liveHistory } from './keeping.js'
import { KIND } from './space.js'
import type { Space } from './space.js'

type Row = { time: number; seq: number; log: HistoryEntry['log']; entry: string; data: string }

const BEHIND = `SELECT time, seq, log, entry, data FROM history_entries WHERE history = ? AND (time, seq) > (?, ?) AND time <= ?
  ORDER BY time, seq LIMIT ?`

/** What was said in sessions, and how all that is kept of one goes. */
export class Histories implements HistoryStore {
  readonly #space: Space

  constructor(space: Space) {
    this.#space = space
  }

  history: HistoryStore['history'] = (scope, { from = 0, to = Number.MAX_SAFE_INTEGER, after, limit }) =>
    this.#space.read((now) => {
      const history = liveHistory(this.#space, scope, now)
      const [time, seq] = after === undefined ? [from, -1] : (splitId(after) ?? [0, 0])
      const rows = history
        ? this.#space.sql.all<Row>(BEHIND, history.id, Math.ceil(time), seq, to, Math.max(1, limit))
        : []
      return rows.map((row) => {
        const { log, entry, data } = row
        return { id: `${row.time}-${row.seq}`, at: row.time, log, entry, data }
      })
    })

  forget: HistoryStore['forget'] = async (what) => {
    if ('scope' in what) return this.#space.write((now) => this.#forget(what.scope, now))
    const total: Forgotten = { sessions: 0, calls: 0, entries: 0 }
    const scopes = await this.#space.read((now) => this.#of(what.principal, now))
    for (const scope of scopes) {
      const forgotten = await this.#space.write((now) => this.#forget(scope, now))
      for (const each of ['sessions', 'calls', 'entries'] as const) total[each] += forgotten[each]
    }
    return total
  }

  /** A history may be one of a session that is over, and was moved here from where only the digest of its principal was known. */
  #of(principal: string, now: number): string[] {
    const { sql, name } = this.#space
    const of = (table: string, whose: string) =>
      `SELECT scope FROM ${table} WHERE name = ? AND ${whose} AND scope IS NOT NULL AND expires_at > ?`
    const both = `${of('scopes', 'principal = ?')} UNION ${of('histories', 'principal IN (?, ?)')}`
    const digest = principalOfDigest(digestOf(principal))
    return sql
      .all<{ scope: string }>(both, name, principal, now, name, principal, digest, now)
      .map(({ scope }) => scope)
  }

  #forget(name: string, now: number): Forgotten {
    const { sql } = this.#space
    const scope = this.#space.live(name, now)
    const journals = scope && sql.get<{ calls: number }>(JOURNALS, scope.id, now)
    const history = liveHistory(this.#space, name, now)
    if (history) sql.run('UPDATE histories SET scope = NULL, expires_at = 0 WHERE id = ?', history.id)
    if (scope) this.#space.delete(scope, name)
    else this.#space.wake(name, 'deleted', '')
    return {
      sessions: scope?.kind === KIND.session ? 1 : 0,
      calls: journals?.calls ?? 0,
      entries: history?.entries ?? 0,
    }
  }
}

const JOURNALS = `SELECT count(*) AS calls FROM logs WHERE scope = ? AND log LIKE 'call:%' AND log NOT LIKE 'call:%:in'
  AND (expires_at IS NULL OR expires_at > ?)`
