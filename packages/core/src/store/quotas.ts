/**
 * How many calls are counted in a quota, and which wait for their turn. Part of `Store`; the rules stated there hold here too.
 *
 * Places are kept apart from the calls, so one may be that of a call which is gone: whoever finds a quota full looks for those.
 * What one operation does is exact, whatever others do at the same time.
 */
export interface QuotaStore {
  /**
   * Takes a place for the call in each of the quotas, or in none. One that it has already stays its own; of a window, as of the time when it was
   * taken first. A quota that others wait for is full. Resolves to which of them are full, if any. `queued`: where only some of
   * these are full, the call takes the places that it does not wait for, and waits for its turn, behind those who came before.
   */
  takePlaces(
    call: PlaceOwner,
    quotas: readonly Quota[],
    queued?: readonly Quota[],
  ): Promise<FullQuotas | undefined>

  /**
   * Gives back places of the call, and it waits no more; no-op for those that it does not have. `takenAt`: only those that it has had
   * since then, as `oldPlaces` or `touchPlaces` has told, and if it waits it goes on. Resolves to whether calls wait for their turn.
   */
  releasePlaces(call: PlaceOwner, names: readonly string[], takenAt?: number): Promise<boolean>

  /**
   * The places of the call count as taken now, so `oldPlaces` tells nobody of them until they are old again; no-op for those that it does not
   * have, and not for quotas of a window. Resolves to that time, in ms: what is taken from now on is taken later than that.
   */
  touchPlaces(call: PlaceOwner, names: readonly string[]): Promise<number>

  /**
   * Up to `limit` calls that have had a place for longer than `olderThanMs`, the oldest first. They count as having taken it now, so of those
   * who ask at the same time each is told of others.
   */
  oldPlaces(
    name: string,
    olderThanMs: number,
    limit: number,
  ): Promise<Array<PlaceOwner & { takenAt: number }>>

  /**
   * Up to `limit` calls whose turn has come: those that have waited for longest, whichever quotas they wait for, as long as there is room in
   * all of those. They have their places then. Each is told of once, and again after `againMs`, until it leaves the queue.
   */
  nextTurns(againMs: number, limit: number): Promise<Turn[]>

  /** The turn of the call, if it has come. `undefined`: the call is not in the queue. Changes nothing. */
  turnOf(call: PlaceOwner): Promise<Turn | 'waits' | undefined>

  /** The names of full quotas that calls wait for. */
  waitedFor(): Promise<string[]>

  /** The call waits no more; its places stay its own. No-op if its turn was told of since, or has to come again. */
  leaveQueue(turn: Turn): Promise<void>
}

/** `name`: a word without spaces. `windowMs`: a place is had for so long, and is not given back; else until it is. */
export type Quota = { name: string; most: number; windowMs?: number }
export type PlaceOwner = { scope: string; callId: string }
/** `toldAt`: when it was told of last, by the time of the store. `names`: of the quotas that the call has waited for, and has places in. */
export type Turn = PlaceOwner & { waitedMs: number; toldAt: number; names: readonly string[] }
/**
 * `freeInMs`: until one place is free in each of those with a window; `undefined`: it is not known when there will be room. `isQueued`: the call
 * waits for its turn.
 */
export type FullQuotas = { names: readonly string[]; freeInMs: number | undefined; isQueued: boolean }
