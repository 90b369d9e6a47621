import type { Entry, Keeping, LogName } from '@mcp-durable/core/store'
import type { Engine } from './engine.js'
import type { Statements } from './statements.js'

/** Of the whole one, what is needed here. */
type Space = { readonly engine: Engine; readonly name: string; readonly sql: Statements }
type Written = { scope: string; principal: string | null; log: LogName | 'state'; entries: readonly Entry[] }
type History = { id: number; entries: number; expires_at: number }

const HISTORY = 'SELECT id, entries, expires_at FROM histories WHERE name = ? AND scope = ?'

/** Written in the transaction of what it is of. */
export function keep(
  space: Space,
  { scope, principal, log, entries }: Written,
  keeping: Keeping,
  now: number,
) {
  if (entries.length === 0) return
  const { sql, engine } = space
  const history = liveHistory(space, scope, now) ?? begin(space, scope, principal)
  const last = sql.get<{ time: number; seq: number }>(
    'SELECT time, seq FROM history_entries WHERE history = ? ORDER BY time DESC, seq DESC LIMIT 1',
    history.id,
  )
  const [time, first] = last && last.time >= now ? [last.time, last.seq + 1] : [now, 0]
  for (const [i, { id, data }] of entries.entries())
    sql.run(
      'INSERT INTO history_entries VALUES (?, ?, ?, ?, ?, ?)',
      history.id,
      time,
      first + i,
      log,
      id,
      data,
    )
  const trimmed = trim(space, history, entries.length, keeping, now)
  const expiresAt = Math.ceil(now + keeping.keepMs)
  sql.run('UPDATE histories SET entries = ?, expires_at = ? WHERE id = ?', trimmed, expiresAt, history.id)
  engine.expires(expiresAt)
}

/** Answers how many entries there are then. */
function trim(
  { sql }: Space,
  { id, entries }: History,
  more: number,
  { keepMs, maxEntries }: Keeping,
  now: number,
) {
  let left = entries + more
  left -= sql.run('DELETE FROM history_entries WHERE history = ? AND time < ?', id, now - keepMs)
  if (left <= maxEntries) return left
  return (
    left -
    sql.run(
      `DELETE FROM history_entries WHERE history = ? AND (time, seq) IN
        (SELECT time, seq FROM history_entries WHERE history = ? ORDER BY time, seq LIMIT ?)`,
      id,
      id,
      left - maxEntries,
    )
  )
}

/** `undefined`: there is none, or it is over. */
export function liveHistory({ sql, name }: Space, scope: string, now: number): History | undefined {
  const history = sql.get<History>(HISTORY, name, scope)
  return history && history.expires_at > now ? history : undefined
}

function begin({ sql, name }: Space, scope: string, principal: string | null): History {
  sql.run('UPDATE histories SET scope = NULL WHERE name = ? AND scope = ?', name, scope)
  const insert = 'INSERT INTO histories (name, scope, principal, expires_at) VALUES (?, ?, ?, 0) RETURNING id'
  return { ...sql.get<{ id: number }>(insert, name, scope, principal)!, entries: 0, expires_at: 0 }
}
