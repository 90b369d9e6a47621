import type { EntryId } from './entries.js'

/** Which calls are open, who owns each, and how it becomes another's. Part of `Store`; the rules stated there hold here too. */
export interface TakeoverStore {
  /** The open calls of a scope, each with its owner; `[]` for an unknown scope. */
  listOpenCalls(scope: string): Promise<OpenCall[]>
  /**
   * Makes `to` the owner of an open call of `from`: raises the epoch to `max(previous + 1, clock)` and appends `data`
   * to the journal, all or nothing. `undefined`: the call is not open, not `from`'s, or another entry than `last` stands
   * last. Claiming again what `to` has claimed with the same `data` answers the same.
   */
  claimCall(scope: string, callId: string, claim: Claim): Promise<Claimed | undefined>
}

export type Claim = {
  from: string
  /** May be `from`. */
  to: string
  data: string
  /** The entry that must stand last in the journal. */
  last?: EntryId
  /** What the claim adds to the count of claims; default 1. */
  counts?: 1 | 0 | -1
}
/** `claims`: how many there have been of the call, by what each of them counts. Kept apart from the journal. */
export type Claimed = { id: EntryId; claims: number }
export type OpenCall = { callId: string; owner: string }
