import { MemoryHistories } from './memory-history.js'
import type { Session } from './memory-session.js'
import type { WatchListener } from './store.js'

export type SortedEntries = { keys: Buffer[]; values: Map<string, string>; marks: Set<string> }

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
