/**
 * Which nodes there are, and what each holds. Part of `Store`; the rules stated there hold here too.
 *
 * A node beats while it lives, and holds the scopes in which it may own calls. It holds a scope before it
 * opens or claims a call there, so whoever removes the node has found every call it left.
 */
export interface MembershipStore {
  /**
   * Says that the node lives. `false`: the store did not know it (first beat, declared dead, or removed): hold
   * again what is held.
   * Beats that are later than now, since the clock was set back, count as of now.
   * `about`: a line that the node says about itself, kept until it says another one or is removed.
   */
  beat(node: string, about?: string): Promise<boolean>
  /** Every node that has beaten and was not removed, with the time since its last beat. A node that left is infinitely late. */
  listNodes(): Promise<NodeBeat[]>
  /** The node goes in an orderly way: it counts as infinitely late from now on. */
  leave(node: string): Promise<void>
  /**
   * The node counts as infinitely late from now on, is unknown at its next beat, and these scopes of it are released.
   * `false`: it has beaten within `lateMs`; nothing was changed. No-op for an unknown node.
   */
  declareDead(node: string, scopes: readonly string[], lateMs: number): Promise<boolean>
  /** Forgets a node whose scopes are all released. `false`: it still holds some, or has beaten within `lateMs`. */
  removeNode(node: string, lateMs: number): Promise<boolean>

  hold(node: string, scopes: readonly string[]): Promise<void>
  release(node: string, scopes: readonly string[]): Promise<void>
  /** Up to `limit` of the scopes a node holds, any of them. */
  heldScopes(node: string, limit: number): Promise<string[]>

  /**
   * True when somebody watches the scope, on any node. Where a store has no way to tell, or refuses to (`store-failed`), a
   * node that was killed is found dead when its lease is over, and no sooner.
   */
  isWatched?(scope: string): Promise<boolean>
}

/** `about`: what it last said about itself; `''` if nothing. */
export type NodeBeat = { node: string; lateMs: number; about: string }
