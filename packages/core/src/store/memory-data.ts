import type { StoredValue } from '../context/context-store.js'
import { MemoryHistories } from './memory-history.js'
import type { MemoryLog } from './memory-log.js'
import type { SortedEntries } from './memory-maps.js'
import type { OpenCall } from './takeover.js'
import type { StoredSession, WatchListener } from './store.js'

export type Session = Omit<StoredSession, 'values'> & {
  expiresAt: number
  logs: Map<string, MemoryLog>
  openCalls: Map<string, OpenCall>
  once: Map<string, { id: string; expiresAt: number }>
  expected: Set<string>
  claims: Map<string, number>
  ended: Map<string, { id: string; expiresAt: number }>
  /** Open calls that another request has joined. */
  joined: Set<string>
  values: Map<string, StoredValue>
  lastValueVersion: number
}

/** All that the in-memory store holds under one name. */
export class MemoryData {
  readonly sessions = new Map<string, Session>()
  readonly watchers = new Map<string, Set<WatchListener>>()
  readonly nodes = new Map<string, { beatAt: number; about: string; scopes: Set<string> }>()
  readonly maps = new Map<string, SortedEntries>()
  readonly histories = new MemoryHistories()
  #lastClock = 0

  live(scope: string): Session | undefined {
    const session = this.sessions.get(scope)
    return session && session.expiresAt > Date.now() ? session : undefined
  }

  /** Milliseconds that never stand still or go back, so that a first epoch is never used twice. */
  clock() {
    this.#lastClock = Math.max(Date.now(), this.#lastClock + 1)
    return this.#lastClock
  }

  sweep() {
    const now = Date.now()
    this.histories.sweep()
    for (const [scope, session] of this.sessions) {
      if (session.expiresAt <= now) this.sessions.delete(scope)
      for (const [name, log] of session.logs) if (log.expired) session.logs.delete(name)
      for (const kept of [session.once, session.ended]) {
        for (const [key, { expiresAt }] of kept) if (expiresAt <= now) kept.delete(key)
      }
    }
  }
}
