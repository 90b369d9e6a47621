import type {
  HistoryPiece,
  ListedPiece,
  LogPiece,
  MapPiece,
  MarksPiece,
  NodePiece,
  Piece,
  ScopePiece,
  ValuesPiece,
} from '@mcp-durable/core/transfer'
import { splitId } from '../ids.js'
import { KIND } from '../space.js'
import type { Statements } from '../statements.js'
import type { Reading } from '../inspect/reading.js'
import { principalOfDigest } from '../principals.js'
import { kindOf } from './scope.js'

type Task = { piece: Piece; resolve: () => void; reject: (error: unknown) => void }

/** Lists that say whose a history is, if only that is left. */
const NAMING = new Set<ListedPiece['list']>(['kept', 'calls', 'ended'])
const FOREVER = Number.MAX_SAFE_INTEGER

/** Writes pieces, those that come together in one transaction. */
export class PiecePutter {
  readonly #reading: Reading
  #queue: Task[] = []
  /** Of what had no history yet when it was listed. */
  readonly #whose = new Map<string, string>()

  constructor(reading: Reading) {
    this.#reading = reading
  }

  put(piece: Piece): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#queue.length === 0) setImmediate(() => void this.#flush())
      this.#queue.push({ piece, resolve, reject })
    })
  }

  async #flush() {
    const tasks = this.#queue
    this.#queue = []
    try {
      await this.#reading.write((sql) => {
        for (const { piece } of tasks) this.#write(sql, piece)
      })
      for (const { resolve } of tasks) resolve()
    } catch (error) {
      for (const { reject } of tasks) reject(error)
    }
  }

  get #name() {
    return this.#reading.name
  }

  #write(sql: Statements, piece: Piece) {
    switch (piece.kind) {
      case 'scope':
        return this.#scope(sql, piece)
      case 'log':
        return this.#log(sql, piece)
      case 'history':
        return this.#history(sql, piece)
      case 'values':
        return this.#values(sql, piece)
      case 'marks':
        return this.#marks(sql, piece)
      case 'map':
        return this.#map(sql, piece)
      case 'node':
        return this.#node(sql, piece)
      case 'due':
        for (const { scope, callId, nonce, at } of piece.entries)
          sql.run('INSERT OR REPLACE INTO due VALUES (?, ?, ?, ?, ?)', this.#name, scope, callId, nonce, at)
        return
      case 'places':
        for (const { scope, callId, takenAt } of piece.places) {
          const until = piece.windowMs === undefined ? null : takenAt + piece.windowMs
          const place = [this.#name, piece.quota, scope, callId, takenAt, until]
          sql.run('INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, ?, ?)', ...place)
        }
        return
      case 'waiting': {
        const { call, at, on, quotas, givenAt } = piece
        sql.run(
          'INSERT OR REPLACE INTO waiting (name, scope, call, since, quotas, quota, given_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
          this.#name,
          call.scope,
          call.callId,
          at,
          JSON.stringify(quotas),
          on,
          givenAt,
        )
        return
      }
      case 'listed':
        return this.#listed(sql, piece)
    }
  }

  #scope(sql: Statements, piece: ScopePiece) {
    const { principal, server, protocolVersion, version, delivered, changes, ttlMs, createdAt } = piece
    const id = this.#idOf(sql, piece.scope, piece.expiresAt)
    sql.run(
      `UPDATE scopes SET kind = ?, principal = ?, server = ?, protocol_version = ?, version = ?, delivered = ?,
       value_version = max(value_version, ?), ttl_ms = ?, created_at = ? WHERE id = ?`,
      kindOf(piece),
      principal,
      server,
      protocolVersion,
      version,
      delivered,
      changes,
      ttlMs,
      createdAt ?? 0,
      id,
    )
    for (const table of ['states', 'requests', 'expected'])
      sql.run(`DELETE FROM ${table} WHERE scope = ?`, id)
    sql.run(
      'UPDATE logs SET owner = NULL, claims = 0, joined = 0, size = 0, kept_key = NULL WHERE scope = ?',
      id,
    )
    for (const entry of piece.state)
      sql.run('INSERT INTO states VALUES (?, ?, ?, ?, ?)', id, entry.key, entry.version, entry.at, entry.data)
    for (const name of piece.expected) sql.run('INSERT INTO expected VALUES (?, ?)', id, name)
    const request = 'INSERT OR REPLACE INTO requests (scope, key, log) VALUES (?, ?, ?)'
    // Their journals may have expired before they were read: then these go with no other word.
    for (const { requestKey, callId, expiresAt } of piece.kept) {
      const log = this.#logOf(sql, id, `call:${callId}`)
      sql.run('UPDATE logs SET kept_key = ?, expires_at = ? WHERE id = ?', requestKey, expiresAt, log)
      sql.run(request, id, requestKey, log)
    }
    for (const { callId, owner, claims, isJoined, bytes, requestKeys, expiresAt } of piece.openCalls) {
      const log = this.#logOf(sql, id, `call:${callId}`)
      const update =
        'UPDATE logs SET owner = ?, claims = ?, joined = ?, size = ?, expires_at = ? WHERE id = ?'
      const until = earlier(expiresAt, piece.expiresAt)
      sql.run(update, owner, claims, isJoined ? 1 : 0, bytes ?? 0, until, log)
      for (const key of requestKeys) sql.run(request, id, key, log)
    }
    if (principal !== undefined)
      sql.run(
        'UPDATE histories SET principal = ? WHERE name = ? AND scope = ?',
        principal,
        this.#name,
        piece.scope,
      )
  }

  /** It may never come itself, so whatever comes first says when it goes. */
  #idOf(sql: Statements, scope: string, expiresAt: number | undefined): number {
    const begin = `INSERT INTO scopes (name, scope, kind, protocol_version, version, delivered, value_version, created_at, expires_at)
      VALUES (?, ?, ${KIND.log}, '', 0, '0-0', 0, 0, ?)
      ON CONFLICT (name, scope) DO UPDATE SET expires_at = excluded.expires_at RETURNING id`
    return idIn(sql.get(begin, this.#name, scope, expiresAt ?? FOREVER))
  }

  #logOf(sql: Statements, scope: number, log: string): number {
    const begin = 'INSERT INTO logs (scope, log) VALUES (?, ?) RETURNING id'
    return idIn(
      sql.get('SELECT id FROM logs WHERE scope = ? AND log = ?', scope, log) ?? sql.get(begin, scope, log),
    )
  }

  #log(sql: Statements, piece: LogPiece) {
    const { scope, log: name, first, isTrimmed, entries, expiresAt, scopeExpiresAt, endsAlone } = piece
    const log = this.#logOf(sql, this.#idOf(sql, scope, scopeExpiresAt), name)
    if (first) {
      sql.run('DELETE FROM entries WHERE log = ?', log)
      const isOfCall = name !== 'out'
      const until = endsAlone ? expiresAt : isOfCall ? earlier(expiresAt, scopeExpiresAt) : undefined
      const anew = 'UPDATE logs SET entries = 0, bytes = 0, trimmed = ?, expires_at = ? WHERE id = ?'
      sql.run(anew, isTrimmed ? 1 : 0, until, log)
    }
    let bytes = 0
    for (const { id, data, after = 0 } of entries) {
      const insert = 'INSERT OR REPLACE INTO entries (log, time, seq, after, data) VALUES (?, ?, ?, ?, ?)'
      sql.run(insert, log, ...placeOf(id), after, data)
      bytes += Buffer.byteLength(data)
    }
    // Counted for logs that any node writes.
    if (name === 'out' || name.endsWith(':in'))
      sql.run(
        'UPDATE logs SET entries = entries + ?, bytes = bytes + ? WHERE id = ?',
        entries.length,
        bytes,
        log,
      )
  }

  #history(sql: Statements, { scope, first, entries, expiresAt }: HistoryPiece) {
    const find = 'SELECT id FROM histories WHERE name = ? AND scope = ?'
    const begin =
      'INSERT INTO histories (name, scope, principal, expires_at) VALUES (?, ?, ?, 0) RETURNING id'
    const whose = sql.get<{ principal: string | null }>(
      'SELECT principal FROM scopes WHERE name = ? AND scope = ?',
      this.#name,
      scope,
    )
    const principal = whose?.principal ?? this.#whose.get(scope)
    const id = idIn(sql.get(find, this.#name, scope) ?? sql.get(begin, this.#name, scope, principal))
    if (first) {
      sql.run('DELETE FROM history_entries WHERE history = ?', id)
      sql.run('UPDATE histories SET entries = 0, expires_at = ? WHERE id = ?', expiresAt ?? FOREVER, id)
    }
    for (const { id: at, log, entry, data } of entries)
      sql.run('INSERT INTO history_entries VALUES (?, ?, ?, ?, ?, ?)', id, ...placeOf(at), log, entry, data)
    sql.run('UPDATE histories SET entries = entries + ? WHERE id = ?', entries.length, id)
  }

  #values(sql: Statements, { scope, version, values, scopeExpiresAt }: ValuesPiece) {
    const id = this.#idOf(sql, scope, scopeExpiresAt)
    sql.run('DELETE FROM value_entries WHERE scope = ?', id)
    let sum = 0
    for (const { key, version: of, data } of values) {
      const bytes = Buffer.byteLength(key) + Buffer.byteLength(data)
      sql.run('INSERT INTO value_entries VALUES (?, ?, ?, ?, ?)', id, key, of, bytes, data)
      sum += bytes
    }
    const note = 'UPDATE scopes SET value_version = max(value_version, ?), value_bytes = ? WHERE id = ?'
    sql.run(note, version, sum, id)
  }

  #marks(sql: Statements, { of, first, marks, scopeExpiresAt }: MarksPiece) {
    const [table, column, id] =
      'scope' in of
        ? (['value_marks', 'scope', this.#idOf(sql, of.scope, scopeExpiresAt)] as const)
        : (['map_marks', 'map', this.#mapOf(sql, of.map)] as const)
    if (first) sql.run(`DELETE FROM ${table} WHERE ${column} = ?`, id)
    for (const { mark, until } of marks)
      sql.run(`INSERT OR REPLACE INTO ${table} VALUES (?, ?, ?)`, id, mark, until)
  }

  #mapOf(sql: Statements, map: string): number {
    const begin = 'INSERT INTO maps (name, map) VALUES (?, ?) RETURNING id'
    const found = sql.get('SELECT id FROM maps WHERE name = ? AND map = ?', this.#name, map)
    return idIn(found ?? sql.get(begin, this.#name, map))
  }

  #map(sql: Statements, { map, first, entries }: MapPiece) {
    const id = this.#mapOf(sql, map)
    if (first) sql.run('DELETE FROM map_entries WHERE map = ?', id)
    for (const [key, value] of entries)
      sql.run('INSERT OR REPLACE INTO map_entries VALUES (?, ?, ?)', id, Buffer.from(key), value)
  }

  #node(sql: Statements, { node, beatAt, about, held }: NodePiece) {
    const insert = 'INSERT OR REPLACE INTO nodes (name, node, beat_at, about) VALUES (?, ?, ?, ?)'
    sql.run(insert, this.#name, node, beatAt === 0 ? null : beatAt, about)
    sql.run('DELETE FROM held WHERE name = ? AND node = ?', this.#name, node)
    for (const scope of held)
      sql.run('INSERT OR IGNORE INTO held (name, node, scope) VALUES (?, ?, ?)', this.#name, node, scope)
  }

  /** Tables need no lists; but whose a history is, of a session that is over, only these say. */
  #listed(sql: Statements, { list, principal: digest, scopes }: ListedPiece) {
    if (digest === undefined || !NAMING.has(list)) return
    const principal = principalOfDigest(digest)
    for (const { scope } of scopes) {
      this.#whose.set(scope, principal)
      const update = 'UPDATE histories SET principal = ? WHERE name = ? AND scope = ? AND principal IS NULL'
      sql.run(update, principal, this.#name, scope)
    }
  }
}

/** An open call lives as long as its scope, which needs no word of its own. */
const earlier = (at: number | undefined, scopeAt: number | undefined) =>
  at !== undefined && at < (scopeAt ?? FOREVER) ? at : undefined

const idIn = (row: { id?: number } | undefined): number => row?.id ?? 0

function placeOf(id: string): [time: number, seq: number] {
  return splitId(id) ?? [0, 0]
}
