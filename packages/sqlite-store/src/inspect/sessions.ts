import type { InspectedSession, SessionsInspection, TimedState } from '@mcp-durable/core/inspect'
import type { OpenCall } from '@mcp-durable/core/store'
import { KIND } from '../space.js'
import type { Reading } from './reading.js'

const MOST_FOUND = 20
const PAGE = 500
/** Above all that begins with a text. */
const LAST = '\u{10ffff}'

type ScopeRow = {
  id: number
  kind: number
  principal: string | null
  protocol_version: string
  created_at: number
  expires_at: number
  version: number
  delivered: string
}
type IdRow = { id: number; scope: string }

const LIVE = 'name = ? AND scope IS NOT NULL AND expires_at > ?'

export class SqliteSessions implements SessionsInspection {
  readonly #reading: Reading

  constructor(reading: Reading) {
    this.#reading = reading
  }

  count(): Promise<number> {
    return this.#reading.number(
      `SELECT count(*) AS n FROM scopes WHERE ${LIVE} AND kind = ${KIND.session}`,
      this.#reading.name,
      Date.now(),
    )
  }

  newest(limit: number, skip = 0): Promise<string[]> {
    return this.#ids(
      `AND kind = ${KIND.session} ORDER BY expires_at DESC, id DESC LIMIT ? OFFSET ?`,
      limit,
      skip,
    )
  }

  find(beginning: string): Promise<string[]> {
    return this.#ids(
      `AND kind = ${KIND.session} AND scope >= ? AND scope < ? LIMIT ?`,
      beginning,
      beginning + LAST,
      MOST_FOUND,
    )
  }

  async #ids(more: string, ...values: (string | number)[]): Promise<string[]> {
    const sql = `SELECT scope FROM scopes WHERE ${LIVE} ${more}`
    const rows = await this.#reading.all<{ scope: string }>(sql, this.#reading.name, Date.now(), ...values)
    return rows.map(({ scope }) => scope)
  }

  kept(): AsyncGenerator<string[]> {
    return this.#pages('histories', '')
  }

  stateful(): AsyncGenerator<string[]> {
    return this.#pages('scopes', `AND (kind = ${KIND.values} OR value_version > 0)`)
  }

  async *#pages(table: 'scopes' | 'histories', more: string): AsyncGenerator<string[]> {
    const sql = `SELECT id, scope FROM ${table} WHERE ${LIVE} ${more} AND id > ? ORDER BY id LIMIT ?`
    for await (const page of this.#reading.pages<IdRow>(sql, PAGE, this.#reading.name, Date.now()))
      yield page.map(({ scope }) => scope)
  }

  async read(id: string): Promise<InspectedSession | undefined> {
    const row = await this.#reading.get<ScopeRow>(
      `SELECT id, kind, principal, protocol_version, created_at, expires_at, version, delivered FROM scopes
       WHERE ${LIVE} AND scope = ?`,
      this.#reading.name,
      Date.now(),
      id,
    )
    if (!row) return undefined
    const standalone = await this.#reading.number(
      "SELECT count(*) AS n FROM entries WHERE log = (SELECT id FROM logs WHERE scope = ? AND log = 'out')",
      row.id,
    )
    return {
      id,
      isSession: row.kind === KIND.session,
      principal: row.principal ?? undefined,
      protocolVersion: row.protocol_version,
      createdAt: row.created_at || undefined,
      expiresInMs: row.expires_at - Date.now(),
      version: row.version,
      delivered: row.delivered,
      openCalls: await this.openCalls(id),
      standalone,
    }
  }

  async openCalls(id: string): Promise<OpenCall[]> {
    const rows = await this.#reading.all<{ log: string; owner: string }>(
      `SELECT log, owner FROM logs WHERE scope = (SELECT id FROM scopes WHERE ${LIVE} AND scope = ?)
       AND log IS NOT NULL AND owner IS NOT NULL`,
      this.#reading.name,
      Date.now(),
      id,
    )
    return rows.map(({ log, owner }) => ({ callId: log.slice('call:'.length), owner }))
  }

  async state(id: string, keys?: readonly string[]): Promise<TimedState[]> {
    const rows = await this.#reading.all<TimedState>(
      `SELECT key, version, at, data FROM states
       WHERE scope = (SELECT id FROM scopes WHERE ${LIVE} AND scope = ?) ORDER BY version`,
      this.#reading.name,
      Date.now(),
      id,
    )
    return keys ? rows.filter(({ key }) => keys.includes(key)) : rows
  }

  async values(id: string): Promise<Array<{ key: string; version: number; data: string }>> {
    const rows = await this.#reading.all<{ key: string; version: number; data: string }>(
      `SELECT key, version, data FROM value_entries
       WHERE scope = (SELECT id FROM scopes WHERE ${LIVE} AND scope = ?)`,
      this.#reading.name,
      Date.now(),
      id,
    )
    return rows.toSorted((a, b) => (a.key < b.key ? -1 : 1))
  }
}
