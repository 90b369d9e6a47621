import { isRefusal, storeError } from './errors.js'
import type {
  Admission,
  CallAppended,
  Entry,
  HistoryEntry,
  OpenedCall,
  StateEntry,
  StoredSession,
} from '@mcp-durable/core/store'

/** Turns what scripts return into what the store answers. Shapes are documented in the header of each script. */

/** `refused`: the stream has an id that is not below this one. `gone`: there is no such stream. */
export type Added = 'appended' | 'refused' | 'gone'

/** A name, or none, which differs from every name: of a principal, of a server. */
export function encodeName(name: string | undefined) {
  return name === undefined ? '-' : `=${name}`
}

export function decodeName(encoded: string) {
  return encoded === '-' ? undefined : encoded.slice(1)
}

/** An admission, and whether the expiry moved, so that the indexes should follow. */
export type Admitted = { admission: Admission; moved: boolean }

export function decodeAdmitted(reply: unknown): Admitted | undefined {
  return reply === null ? undefined : admitted(reply as string[])
}

function admitted([protocolVersion, version, delivered, changes, moved]: (string | number)[]): Admitted {
  const [known, values] = [Number(version), Number(changes)]
  const admission = {
    protocolVersion: String(protocolVersion),
    version: known,
    delivered: String(delivered),
    values,
  }
  return { admission, moved: Number(moved) === 1 }
}

export type Alive = { principal: string | undefined; moved: boolean; isSession: boolean }

export function decodeAlive(reply: unknown): Alive | undefined {
  if (reply === null) return undefined
  const [principal, moved, isScope] = reply as [string, number | string, number | string]
  return { principal: decodeName(principal), moved: Number(moved) === 1, isSession: Number(isScope) !== 1 }
}

export function decodeSession(reply: unknown): StoredSession | undefined {
  if (reply === null) return undefined
  const [principal = '', protocolVersion, version, delivered, changes, server = '-', ...state] =
    reply as string[]
  const { admission } = admitted([protocolVersion ?? '', version ?? '', delivered ?? '', changes ?? ''])
  const [of, at] = [decodeName(principal), decodeName(server)]
  return { ...admission, principal: of, server: at, state: decodeState(state) }
}

/** A field of the session's hash that holds a state entry: '<version>@<ms> <bytes of nonce> <nonce><data>'. */
export function decodeStateField(value: string): { version: number; at: number; data: string } {
  const [head = '', version, at, size] = /^(\d+)@?(\d*) (\d+) /.exec(value) ?? []
  const rest = Buffer.from(value.slice(head.length))
  return { version: Number(version), at: Number(at), data: rest.subarray(Number(size)).toString() }
}

export function decodeState(reply: unknown): StateEntry[] {
  return groups(reply as string[], 3).map(([key = '', version, data = '']) => ({
    key,
    version: Number(version),
    data,
  }))
}

export function decodeEntries(reply: unknown): Entry[] | undefined {
  return reply === null
    ? undefined
    : groups(reply as string[], 2).map(([id = '', data = '']) => ({ id, data }))
}

export function decodeOpened(reply: unknown): { opened: OpenedCall; moved: boolean } {
  const [status, ...rest] = reply as [string, ...string[]]
  if (status === 'unknown') return { opened: { status }, moved: false }
  const { admission, moved } = admitted(rest)
  const value = rest[5] ?? ''
  if (status === 'opened') return { opened: { status, id: value, admission }, moved }
  if (status === 'attached') return { opened: { status, callId: value, admission }, moved }
  return { opened: { status: 'limit' }, moved }
}

/** `principal`: whose call has ended that belongs to no session. */
export function decodeAppended(reply: unknown): {
  outcome: CallAppended | 'unheard'
  principal: string | undefined
} {
  const [outcome = '', whose = '-'] = cut(String(reply))
  return { outcome: outcome as CallAppended, principal: decodeName(whose) }
}

/** Of as many entries; the reply names those that failed. Throws what is an outcome of none. */
export function decodeQuietlyAppended(count: number, reply: unknown): Added[] {
  const outcomes = Array.from({ length: count }, (): Added => 'appended')
  for (const [place, error = ''] of groups(reply as string[], 2)) {
    if (error !== '' && !isRefusal(error)) throw storeError(new Error(error), false)
    outcomes[Number(place) - 1] = error === '' ? 'gone' : 'refused'
  }
  return outcomes
}

/** Fields have fixed places: the scripts that write histories are the only ones that do. */
export function decodeHistory(reply: unknown): HistoryEntry[] {
  return (reply as Array<[string, string[]]>).map(([id, [, log = '', , entry = '', , data = '']]) => ({
    id,
    at: Number.parseInt(id, 10),
    log: log as HistoryEntry['log'],
    entry,
    data,
  }))
}

export function groups(flat: string[], size: number): string[][] {
  const result: string[][] = []
  for (let i = 0; i < flat.length; i += size) result.push(flat.slice(i, i + size))
  return result
}

/** Names and values, which come in turn, in pairs, or as a map: that depends on the protocol that the client speaks. */
export function pairs(reply: unknown): Array<[string, string]> {
  if (!Array.isArray(reply)) return Object.entries(reply as Record<string, string>)
  const flat = reply.flat().map(String)
  return Array.from({ length: Math.floor(flat.length / 2) }, (_, i) => [
    flat[2 * i] ?? '',
    flat[2 * i + 1] ?? '',
  ])
}

/** At its first space, if it has one. */
function cut(text: string): string[] {
  const space = text.indexOf(' ')
  return space < 0 ? [text] : [text.slice(0, space), text.slice(space + 1)]
}
