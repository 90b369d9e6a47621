/**
 * Which calls are to be claimed at a time. Part of `Store`; the rules stated there hold here too.
 *
 * The entries are kept apart from the calls: one may name a call that is gone, or that somebody has claimed before its time.
 */
export interface DueCallsStore {
  /** Adds an entry; one that is there is moved. `at`: ms since 1970. */
  setDue(entry: DueCall, at: number): Promise<void>
  /**
   * Up to `limit` entries whose time is `now` or before, the earliest first. Each of them is due again at `again`, unless it is removed:
   * of those who take at the same time each gets other entries, and what one of them has not done another one gets then.
   * `next`: the earliest time of all that are left then; `undefined` if there are none.
   */
  takeDue(now: number, again: number, limit: number): Promise<{ due: DueCall[]; next: number | undefined }>
  /** No-op for entries that are not there. */
  removeDue(entries: readonly DueCall[]): Promise<void>
}

/** `nonce`: tells the entries of one call apart; without spaces, as the others. */
export type DueCall = { scope: string; callId: string; nonce: string }
