import { MemoryHistories } from './memory-history.js'
import type { Session } from './memory-session.js'
import type { Quota } from './quotas.js'
import type { WatchListener } from './store.js'

export type SortedEntries = { keys: Buffer[]; values: Map<string, string>; marks: Set<string> }

/** What waits for its turn: since when, for which quotas, and for which of them now. */
export type Waiting = {
  since: number
  quotas: readonly Quota[]
  forName: string
  givenAt?: number | undefined
}

/** All that the in-memory store holds under one name. */
export class MemoryData {
  readonly sessions = new Map<string, Session>()
  readonly watchers = new Map<string, Set<WatchListener>>()
  readonly nodes = new Map<string, { beatAt: number; about: string; scopes: Set<string> }>()
  /** When calls are to be claimed, by their entries. */
  readonly due = new Map<string, number>()
  readonly maps = new Map<string, SortedEntries>()
  /** Who has places in each quota, and since when; and how long one has them. */
  readonly quotas = new Map<string, { places: Map<string, number>; windowMs: number }>()
  /** What waits for its turn, in the order in which it came. */
  readonly waiting = new Map<string, Waiting>()
  /** Scopes of open calls that belong to no session, by principal. */
  readonly openAlone = new Map<string, Set<string>>()
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

  /** How many open calls a principal has that belong to no session. */
  countAlone(principal: string): number {
    const scopes = this.openAlone.get(principal)
    if (!scopes) return 0
    for (const scope of scopes) if (!this.live(scope)?.openCalls.size) scopes.delete(scope)
    if (scopes.size === 0) this.openAlone.delete(principal)
    return scopes.size
  }

  sweep() {
    const now = Date.now()
    this.histories.sweep()
    for (const [name, { places, windowMs }] of this.quotas) {
      for (const [owner, at] of places) if (at <= now - windowMs) places.delete(owner)
      if (places.size === 0) this.quotas.delete(name)
    }
    for (const principal of this.openAlone.keys()) this.countAlone(principal)
    for (const [scope, session] of this.sessions) {
      if (session.expiresAt <= now) this.sessions.delete(scope)
      for (const [name, log] of session.logs) if (log.expired) session.logs.delete(name)
      for (const kept of [session.once, session.ended]) {
        for (const [key, { expiresAt }] of kept) if (expiresAt <= now) kept.delete(key)
      }
    }
  }
}
