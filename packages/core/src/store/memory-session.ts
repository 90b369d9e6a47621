import type { NewScope, StoredValue } from './context-store.js'
import { BEGINNING } from './entries.js'
import type { MemoryLog } from './memory-log.js'
import type { Admission, NewSession, StoredSession, ValueChange } from './store.js'
import type { OpenCall } from './takeover.js'

/** How long a repeated nonce is recognised. */
export const NONCE_MS = 60_000

export type Session = Omit<StoredSession, 'values'> & {
  /** Begun by a client; else a scope for what belongs to no session. */
  isListed: boolean
  expiresAt: number
  logs: Map<string, MemoryLog>
  openCalls: Map<string, OpenCall>
  once: Map<string, { id: string; expiresAt: number }>
  expected: Set<string>
  claims: Map<string, number>
  /** Bytes of the requests of open calls, where they are many. */
  sizes: Map<string, number>
  ended: Map<string, { id: string; expiresAt: number }>
  /** Open calls that another request has joined. */
  joined: Set<string>
  values: Map<string, StoredValue>
  lastValueVersion: number
  /** Marks of writes that were applied, by when they are forgotten. */
  marks: Map<string, number>
  /** How long it lives after a use, where it holds values alone. */
  ttlMs: number | undefined
}

/** A scope that has just begun. */
export function newSession({
  principal,
  server,
  protocolVersion,
  ttlMs,
}: Pick<NewSession, 'principal' | 'server' | 'protocolVersion' | 'ttlMs'>): Session {
  return {
    isListed: false,
    principal,
    server,
    protocolVersion,
    version: 0,
    delivered: BEGINNING,
    state: [],
    expiresAt: Date.now() + ttlMs,
    logs: new Map(),
    openCalls: new Map(),
    once: new Map(),
    expected: new Set(),
    claims: new Map(),
    sizes: new Map(),
    ended: new Map(),
    joined: new Set(),
    values: new Map(),
    lastValueVersion: 0,
    marks: new Map(),
    ttlMs: undefined,
  }
}

export function admission({ protocolVersion, version, delivered, lastValueVersion }: Session): Admission {
  return { protocolVersion, version, delivered, values: lastValueVersion }
}

export const isOf = ({ server }: Session, asked: string | undefined) =>
  server === undefined || asked === undefined || server === asked

export const isOpen = ({ openCalls }: Session, callId: string) =>
  [...openCalls.values()].some((call) => call.callId === callId)

/** A scope that holds values alone. Versions go up even if it was there before, and has expired. */
export function newScope({ principal, ttlMs }: NewScope): Session {
  const scope = newSession({ principal, protocolVersion: '', ttlMs })
  return { ...scope, ttlMs, lastValueVersion: Date.now() }
}

/** A use of a scope that holds values alone. */
export function slide(session: Session) {
  if (session.ttlMs !== undefined) session.expiresAt = Date.now() + session.ttlMs
}

/** A call without a session is not cut short: it may sleep for longer. */
export function keepFor(session: Session, ttlMs: number) {
  const least = session.isListed ? 0 : session.expiresAt
  session.expiresAt = Math.max(least, Date.now() + ttlMs)
}

const sizeOf = (key: string, data: string | undefined) =>
  data === undefined ? 0 : Buffer.byteLength(key) + Buffer.byteLength(data)

/** Whether a change would bring the values of the session above so many bytes. */
export function isTooMuch({ values }: Session, key: string, data: string | undefined, maxBytes: number) {
  const now = [...values].reduce((sum, [name, value]) => sum + sizeOf(name, value.data), 0)
  const more = sizeOf(key, data) - sizeOf(key, values.get(key)?.data)
  return more > 0 && now + more > maxBytes
}

export function changeValue(session: Session, { key, expected, data }: ValueChange): number | 'conflict' {
  if ((session.values.get(key)?.version ?? 0) !== expected) return 'conflict'
  const version = ++session.lastValueVersion
  if (data === undefined) {
    session.values.delete(key)
    return 0
  }
  session.values.set(key, { version, data })
  return version
}
