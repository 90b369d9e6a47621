import type { EntryId } from './entries.js'

/**
 * Who is alive, and who owns what. Part of `Store`; the rules stated there hold here too.
 *
 * A node beats while it lives, and holds the scopes in which it may own calls. It holds a scope before it
 * opens or claims a call there, so whoever buries the node finds every call it left.
 */
export interface OwnershipStore {
  /**
   * Says that the node lives. `false`: the store did not know it (first beat, disowned, or buried): hold
   * again what is held.
   * `about`: a line that the node says about itself, kept until it says another one or is buried.
   */
  beat(node: string, about?: string): Promise<boolean>
  /** Every node that has beaten and was not buried, with the time since its last beat. A node that left is infinitely late. */
  listNodes(): Promise<NodeBeat[]>
  /** The node goes in an orderly way: it counts as infinitely late from now on. */
  leave(node: string): Promise<void>
  /** Forgets a node whose scopes are all released. `false`: it still holds some, or has beaten within `lateMs`. */
  bury(node: string, lateMs: number): Promise<boolean>

  hold(node: string, scopes: readonly string[]): Promise<void>
  release(node: string, scopes: readonly string[]): Promise<void>
  /**
   * Releases scopes of a dead node, which counts as infinitely late from then on, and unknown at its next beat.
   * `false`: it lives and has beaten within `lateMs`; nothing was released.
   */
  disown(node: string, scopes: readonly string[], lateMs: number): Promise<boolean>
  /** Up to `limit` of the scopes a node holds, any of them. */
  heldScopes(node: string, limit: number): Promise<string[]>

  /** The open calls of a scope, each with its owner; `[]` for an unknown scope. */
  listOpenCalls(scope: string): Promise<OpenCall[]>
  /**
   * Makes `to` the owner of an open call of `from`: raises the epoch to `max(previous + 1, clock)` and appends `data`
   * to the journal, all or nothing. `undefined`: the call is not open, not `from`'s, or another entry than `last` stands
   * last. Claiming again what `to` has claimed with the same `data` answers the same.
   */
  claimCall(scope: string, callId: string, claim: Claim): Promise<Claimed | undefined>

  /**
   * True when somebody watches the scope, on any node. Where a store has no way to tell, or refuses to (`store-failed`), a
   * node that was killed is found dead when its lease is over, and no sooner.
   */
  isWatched?(scope: string): Promise<boolean>
}

/** `about`: what it last said about itself; `''` if nothing. */
export type NodeBeat = { node: string; lateMs: number; about: string }
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
