import type { LogName } from '@mcp-durable/core/store'
import type { MovedCall, MovedState, ScopePiece } from '@mcp-durable/core/transfer'
import { pairs } from '../replies.js'
import type { Reading } from '../inspect/reading.js'
import type { Keys } from '../keys.js'
import { decodeName, decodeStateField, encodeName } from '../replies.js'

/** What the hash of a session holds, and what its ended calls are still asked for with. */
export async function readScope(
  reading: Reading,
  keys: Keys,
  scope: string,
): Promise<ScopePiece | undefined> {
  const key = keys.session(scope)
  const expiry = await reading.number('PEXPIRETIME', key)
  const fields = new Map<string, string>()
  for await (const page of reading.members('HSCAN', key))
    for (const [name, value] of pairs(page)) fields.set(name, value)
  const principal = fields.get('p')
  if (expiry === -2 || principal === undefined) return undefined
  const under = (prefix: string) =>
    [...fields]
      .filter(([field]) => field.startsWith(prefix))
      .map(([field, value]): [string, string] => [field.slice(prefix.length), value])
  const number = (field: string) => (fields.has(field) ? Number(fields.get(field)) : undefined)
  const calls = under('o:').map(([callId, owner]): MovedCall => ({
    callId,
    owner,
    claims: number(`n:${callId}`) ?? 0,
    isJoined: fields.has(`j:${callId}`),
    bytes: number(`z:${callId}`),
    requestKeys: under('r:').flatMap(([requestKey, of]) => (of === callId ? [requestKey] : [])),
  }))
  return {
    kind: 'scope',
    scope,
    principal: decodeName(principal),
    server: fields.get('m') === undefined ? undefined : decodeName(fields.get('m') ?? ''),
    protocolVersion: fields.get('l') ?? '',
    createdAt: number('c'),
    expiresAt: expiry === -1 ? undefined : expiry,
    version: number('v') ?? 0,
    delivered: fields.get('d') ?? '0-0',
    changes: number('u') ?? 0,
    ttlMs: number('t'),
    state: under('s:').map(([name, text]): MovedState => ({ key: name, ...decodeStateField(text) })),
    openCalls: await withJournal(reading, keys, scope, calls),
    kept: await withJournal(reading, keys, scope, await keptRequests(reading, keys, scope)),
    expected: under('q:').map(([name]) => name),
    sizes: under('b:').map(([log, bytes]) => ({ log: log as LogName, bytes: Number(bytes) })),
  }
}

/** A journal may have expired under an owner that died: the call is not open any more. */
async function withJournal<T extends { callId: string }>(
  reading: Reading,
  keys: Keys,
  scope: string,
  calls: readonly T[],
): Promise<T[]> {
  const sizes = calls.map(({ callId }) => reading.number('XLEN', keys.log(scope, `call:${callId}`)))
  const found = await Promise.all(sizes)
  return calls.filter((_, i) => (found[i] ?? 0) > 0)
}

async function keptRequests(reading: Reading, keys: Keys, scope: string): Promise<ScopePiece['kept']> {
  const kept = new Map<string, { requestKey: string; callId: string; expiresAt: number }>()
  for await (const page of reading.members('ZSCAN', keys.ended(scope), 'ended:*')) {
    for (const [name] of pairs(page)) {
      const key = `${keys.session(scope)}:${name}`
      const [callId, expiresAt] = await Promise.all([
        reading.ask('GET', [key]),
        reading.number('PEXPIRETIME', key),
      ])
      const requestKey = name.slice('ended:'.length)
      if (typeof callId === 'string') kept.set(requestKey, { requestKey, callId, expiresAt })
    }
  }
  return [...kept.values()]
}

/** Names and values of the hash, in turn. */
export function scopeFields(piece: ScopePiece): string[] {
  const { principal, server, protocolVersion, createdAt, version, delivered, changes, ttlMs } = piece
  const sum = piece.openCalls.reduce((total, { bytes = 0 }) => total + bytes, 0)
  return [
    'p',
    encodeName(principal),
    'l',
    protocolVersion,
    'v',
    String(version),
    'd',
    delivered,
    ...(server === undefined ? [] : ['m', encodeName(server)]),
    ...(createdAt === undefined ? [] : ['c', String(createdAt)]),
    ...(changes === 0 ? [] : ['u', String(changes)]),
    ...(ttlMs === undefined ? [] : ['t', String(ttlMs)]),
    ...(piece.kept.length === 0 ? [] : ['e', '1']),
    ...(sum === 0 ? [] : ['z', String(sum)]),
    ...piece.state.flatMap(({ key, version: of, at, data }) => [`s:${key}`, `${of}@${at} 0 ${data}`]),
    ...piece.openCalls.flatMap(callFields),
    ...piece.expected.flatMap((name) => [`q:${name}`, '1']),
    ...piece.sizes.flatMap(({ log, bytes }) => [`b:${log}`, String(bytes)]),
  ]
}

function callFields({ callId, owner, claims, isJoined, bytes, requestKeys }: MovedCall): string[] {
  return [
    `o:${callId}`,
    owner,
    ...(claims === 0 ? [] : [`n:${callId}`, String(claims)]),
    ...(isJoined ? [`j:${callId}`, '1'] : []),
    ...(bytes === undefined ? [] : [`z:${callId}`, String(bytes)]),
    ...requestKeys.flatMap((requestKey) => [`r:${requestKey}`, callId]),
  ]
}
