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
  const expiresAt = await expiryOf(reading, key)
  const fields = new Map<string, string>()
  for await (const page of reading.members('HSCAN', key))
    for (const [name, value] of pairs(page)) fields.set(name, value)
  const principal = fields.get('p')
  if (expiresAt === 'gone' || principal === undefined) return undefined
  const under = (prefix: string) =>
    [...fields]
      .filter(([field]) => field.startsWith(prefix))
      .map(([field, value]): [string, string] => [field.slice(prefix.length), value])
  const number = (field: string) => (fields.has(field) ? Number(fields.get(field)) : undefined)
  const calls = under('o:').map(([callId, owner]) => ({
    callId,
    owner,
    claims: number(`n:${callId}`) ?? 0,
    isJoined: fields.has(`j:${callId}`),
    bytes: number(`z:${callId}`),
    requestKeys: under('r:').flatMap(([requestKey, of]) => (of === callId ? [requestKey] : [])),
  }))
  const kept = await withJournal(reading, keys, scope, await keptRequests(reading, keys, scope))
  return {
    kind: 'scope',
    scope,
    principal: decodeName(principal),
    server: fields.get('m') === undefined ? undefined : decodeName(fields.get('m') ?? ''),
    protocolVersion: fields.get('l') ?? '',
    createdAt: number('c'),
    expiresAt,
    version: number('v') ?? 0,
    delivered: fields.get('d') ?? '0-0',
    changes: number('u') ?? 0,
    ttlMs: number('t'),
    state: under('s:').map(([name, text]): MovedState => ({ key: name, ...decodeStateField(text) })),
    openCalls: await withJournal(reading, keys, scope, calls),
    kept: kept.flatMap(({ expiresAt: until, ...of }) =>
      until === undefined ? [] : [{ ...of, expiresAt: until }],
    ),
    expected: under('q:').map(([name]) => name),
    sizes: under('b:').map(([log, bytes]) => ({ log: log as LogName, bytes: Number(bytes) })),
  }
}

export async function expiryOf(reading: Reading, key: string): Promise<number | undefined | 'gone'> {
  const at = await reading.number('PEXPIRETIME', key)
  return at === -2 ? 'gone' : at === -1 ? undefined : at
}

/** A journal may have expired under an owner that died: the call is not open any more. */
async function withJournal<T extends { callId: string }>(
  reading: Reading,
  keys: Keys,
  scope: string,
  calls: readonly T[],
): Promise<Array<T & { expiresAt: number | undefined }>> {
  const expiries = calls.map(({ callId }) => expiryOf(reading, keys.log(scope, `call:${callId}`)))
  const found = await Promise.all(expiries)
  return calls.flatMap((call, i) => {
    const expiresAt = found[i]
    return expiresAt === 'gone' ? [] : [{ ...call, expiresAt }]
  })
}

type Kept = { requestKey: string; callId: string }

async function keptRequests(reading: Reading, keys: Keys, scope: string): Promise<Kept[]> {
  const kept = new Map<string, Kept>()
  for await (const page of reading.members('ZSCAN', keys.ended(scope), 'ended:*')) {
    for (const [name] of pairs(page)) {
      const callId = await reading.ask('GET', [`${keys.session(scope)}:${name}`])
      const requestKey = name.slice('ended:'.length)
      if (typeof callId === 'string') kept.set(requestKey, { requestKey, callId })
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
