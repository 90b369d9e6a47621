import type { CallPlace, CallsInspection, InspectedCall } from '@mcp-durable/core/inspect'
import { KIND } from '../space.js'
import type { Reading } from './reading.js'

const MOST_FOUND = 20
const PAGE = 500
const LAST = '\u{10ffff}'
const BEGINNING = 'call:'

type LogRow = { id: number; scope: string; log: string }
type CallRow = { owner: string | null; principal: string | null; protocol_version: string; kind: number }

/** Journals, and no inboxes, of what has not expired. */
const JOURNALS = `FROM logs l JOIN scopes s ON s.id = l.scope
  WHERE s.name = ? AND s.scope IS NOT NULL AND s.expires_at > ?2 AND l.log LIKE 'call:%' AND l.log NOT LIKE 'call:%:in'
  AND (l.expires_at IS NULL OR l.expires_at > ?2)`

export class SqliteCalls implements CallsInspection {
  readonly #reading: Reading

  constructor(reading: Reading) {
    this.#reading = reading
  }

  async of(scope: string): Promise<string[]> {
    const rows = await this.#rows('AND s.scope = ?3', scope)
    return rows.map(({ callId }) => callId)
  }

  find(beginning: string): Promise<CallPlace[]> {
    const from = BEGINNING + beginning
    return this.#rows('AND l.log >= ?3 AND l.log < ?4 LIMIT ?5', from, from + LAST, MOST_FOUND)
  }

  async *all(): AsyncGenerator<CallPlace[]> {
    const sql = `SELECT l.id, s.scope, l.log ${JOURNALS} AND l.id > ?3 ORDER BY l.id LIMIT ?4`
    for await (const page of this.#reading.pages<LogRow>(sql, PAGE, this.#reading.name, Date.now()))
      yield page.map(placeOf)
  }

  async *ofPrincipal(principal: string): AsyncGenerator<CallPlace[]> {
    const sql = `SELECT l.id, s.scope, l.log ${JOURNALS} AND s.principal = ?3 AND l.id > ?4 ORDER BY l.id LIMIT ?5`
    for await (const page of this.#reading.pages<LogRow>(
      sql,
      PAGE,
      this.#reading.name,
      Date.now(),
      principal,
    ))
      yield page.map(placeOf)
  }

  async read({ scope, callId }: CallPlace): Promise<InspectedCall | undefined> {
    const row = await this.#reading.get<CallRow>(
      `SELECT l.owner, s.principal, s.protocol_version, s.kind
       FROM scopes s LEFT JOIN logs l ON l.scope = s.id AND l.log = ?
       WHERE s.name = ? AND s.scope = ? AND s.expires_at > ?`,
      BEGINNING + callId,
      this.#reading.name,
      scope,
      Date.now(),
    )
    return (
      row && {
        scope,
        callId,
        owner: row.owner ?? undefined,
        principal: row.principal ?? undefined,
        protocolVersion: row.protocol_version,
        inSession: row.kind === KIND.session,
      }
    )
  }

  async #rows(more: string, ...values: (string | number)[]): Promise<CallPlace[]> {
    const sql = `SELECT l.id, s.scope, l.log ${JOURNALS} ${more}`
    const rows = await this.#reading.all<LogRow>(sql, this.#reading.name, Date.now(), ...values)
    return rows.map(placeOf)
  }
}

const placeOf = ({ scope, log }: LogRow): CallPlace => ({ scope, callId: log.slice(BEGINNING.length) })
