import type { LogName } from '@mcp-durable/core/store'
import type { MovedCall, ScopePiece } from '@mcp-durable/core/transfer'
import type { Reading } from '../inspect/reading.js'
import { KIND } from '../space.js'
import type { Kind } from '../space.js'

export type ScopeRow = {
  id: number
  scope: string
  kind: Kind
  principal: string | null
  server: string | null
  protocol_version: string
  version: number
  delivered: string
  value_version: number
  ttl_ms: number | null
  created_at: number
  expires_at: number
}
export type LogRow = {
  id: number
  log: LogName
  owner: string | null
  claims: number
  joined: number
  size: number
  kept_key: string | null
  bytes: number
  trimmed: number
  expires_at: number | null
}

const CALL = 'call:'

export async function readScope(
  reading: Reading,
  row: ScopeRow,
  logs: readonly LogRow[],
): Promise<ScopePiece> {
  const requests = await reading.all<{ key: string; log: number }>(
    'SELECT key, log FROM requests WHERE scope = ?',
    row.id,
  )
  const state = await reading.all<ScopePiece['state'][number]>(
    'SELECT key, version, at, data FROM states WHERE scope = ?',
    row.id,
  )
  const expected = await reading.all<{ name: string }>('SELECT name FROM expected WHERE scope = ?', row.id)
  return {
    kind: 'scope',
    scope: row.scope,
    principal: row.principal ?? undefined,
    server: row.server ?? undefined,
    protocolVersion: row.protocol_version,
    createdAt: row.created_at || undefined,
    expiresAt: row.expires_at,
    version: row.version,
    delivered: row.delivered,
    changes: row.value_version,
    ttlMs: row.ttl_ms ?? undefined,
    state,
    openCalls: logs.flatMap(({ id, log, owner, claims, joined, size, expires_at: until }): MovedCall[] => {
      if (owner === null) return []
      const requestKeys = requests.filter((request) => request.log === id).map(({ key }) => key)
      return [
        {
          callId: log.slice(CALL.length),
          owner,
          claims,
          isJoined: joined !== 0,
          bytes: size === 0 ? undefined : size,
          requestKeys,
          expiresAt: until ?? row.expires_at,
        },
      ]
    }),
    kept: logs.flatMap(({ log, owner, kept_key: requestKey, expires_at: expiresAt }) =>
      owner === null && requestKey !== null && expiresAt !== null
        ? [{ requestKey, callId: log.slice(CALL.length), expiresAt }]
        : [],
    ),
    expected: expected.map(({ name }) => name),
    sizes: logs.flatMap(({ log, bytes }) => (bytes > 0 ? [{ log, bytes }] : [])),
  }
}

/** What the scope is made for follows from what it has. */
export function kindOf({ version, ttlMs, protocolVersion, openCalls }: ScopePiece): Kind {
  if (version > 0) return KIND.session
  if (ttlMs !== undefined) return KIND.values
  if (protocolVersion === '') return KIND.log
  return openCalls.length > 0 ? KIND.call : KIND.ended
}
