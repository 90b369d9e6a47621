import type { EntryId, LogName } from './entries.js'

/**
 * What was said in sessions, kept past their end and the end of their journals. Part of `Store`; the rules stated there
 * hold here too.
 *
 * A history is written in the same operation as what it is of: it never lacks what was acknowledged, and holds nothing
 * that was not.
 */
export interface HistoryStore {
  /** A page of a session's history, oldest first; `[]` when there is none, or it is over. The session need not be there. */
  history(scope: string, page: HistoryPage): Promise<HistoryEntry[]>

  /**
   * Deletes all that is kept of a scope, or of every session and call of a principal: state, logs, values, histories. Wakes
   * watchers with the topic `deleted`. Answers what was deleted; of what another operation deletes at the same time, one
   * answers it. Done in steps, each of which ends within the deadline; if one fails, some may have been done: forget again.
   * What begins meanwhile may stay.
   */
  forget(what: { scope: string } | { principal: string }): Promise<Forgotten>
}

export type Keeping = {
  /** An entry is kept for at least so long, and until the next write or so long after the last one at most. */
  keepMs: number
  /** Newest entries of a session that are kept; older ones go before their time. */
  maxEntries: number
}

export type HistoryPage = {
  /** Ms since 1970, by the clock of the store, both included. Default: all. */
  from?: number | undefined
  to?: number | undefined
  /** The last entry of the page before: go on behind it, and leave `from` aside. */
  after?: EntryId | undefined
  limit: number
}

/** `at`: when the store took it, in ms since 1970. `entry`: its id in its log, or the version of the state entry. */
export type HistoryEntry = { id: EntryId; at: number; log: LogName | 'state'; entry: string; data: string }

/** `calls`: journals of calls, open ones or not. `entries`: of histories. */
export type Forgotten = { sessions: number; calls: number; entries: number }
