import type { EntryId } from './entries.js'

/** Which calls are open, who owns each, and how it becomes another's. Part of `Store`; the rules stated there hold here too. */
export interface TakeoverStore {
  /** The open calls of a scope, each with its owner; `[]` for an unknown scope. */
  listOpenCalls(scope: string): Promise<OpenCall[]>
  /**
   * Makes `to` the owner of an open call of `from`: raises the epoch to `max(previous + 1, clock)` and appends `data`
   * to the journal, all or nothing. `undefined`: the call is not open, not `from`'s, or `last` or `inbox` say that it is to be
   * left alone. Claiming again what `to` has claimed with the same `data` answers the same.
   */
  claimCall(scope: string, callId: string, claim: Claim): Promise<Claimed | undefined>
}

/** The owner of a call that no node runs and that is not to be taken over: it is parked until its client comes, or until its time has. */
export const NOBODY = ''
/** The same of a call that waits for nothing but its time. */
export const ASLEEP = '-'

/** Whether the owner of an open call is no node. */
export const isParked = (owner: string) => owner === NOBODY || owner === ASLEEP

export type Claim = {
  /** May be `NOBODY` or `ASLEEP`, and so may `to`. */
  from: string
  /** May be `from`. */
  to: string
  data: string
  /** The entry that must stand last in the journal. */
  last?: EntryId
  /** The entry that must stand last in the inbox; `BEGINNING`: it must be empty. */
  inbox?: EntryId
  /** The scope and what is in it expire so long from now, unless they are kept alive. */
  ttlMs?: number
  /** What the claim adds to the count of claims; default 1. */
  counts?: 1 | 0 | -1
}
/** `claims`: how many there have been of the call, by what each of them counts. Kept apart from the journal. */
export type Claimed = { id: EntryId; claims: number }
export type OpenCall = { callId: string; owner: string }
