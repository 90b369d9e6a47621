import type { StoredValue } from './context-store.js'
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
  }
}

export function admission({ protocolVersion, version, delivered, lastValueVersion }: Session): Admission {
  return { protocolVersion, version, delivered, values: lastValueVersion }
}

export const isOf = ({ server }: Session, asked: string | undefined) =>
  server === undefined || asked === undefined || server === asked

export const isOpen = ({ openCalls }: Session, callId: string) =>
  [...openCalls.values()].some((call) => call.callId === callId)

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
