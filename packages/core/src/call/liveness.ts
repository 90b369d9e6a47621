import { StoreError } from '../errors.js'
import type { MembershipStore, NodeBeat } from '../store/membership.js'
import { lateAfterMs } from './lease.js'
import type { Lease } from './lease.js'
import { channelOf } from './node-channels.js'

type Watched = Pick<MembershipStore, 'isWatched'>

/** Two looks this far apart must find nobody on a node's channel. */
const SECOND_LOOK_MS = 150

/** Whether the store knows that a node listens for wake-ups; `undefined` where it can't tell. */
export async function isListening(store: Watched, node: string): Promise<boolean | undefined> {
  try {
    return await store.isWatched?.(channelOf(node))
  } catch (error) {
    if (error instanceof StoreError && error.code === 'store-failed') return undefined
    throw error
  }
}

/**
 * Whether a node is dead: its lease is over; or it is late, and two looks find nobody on its channel, since a killed process
 * loses its connection at once. It may be wrong: the epoch of a journal fences an old owner.
 */
export async function isDead(
  store: Watched,
  { node, lateMs }: NodeBeat,
  lease: Lease,
  pause: (ms: number) => Promise<void>,
): Promise<boolean> {
  if (lateMs >= lease.leaseMs) return true
  if (lateMs < lateAfterMs(lease)) return false
  if (await isHeard(store, node)) return false
  await pause(SECOND_LOOK_MS)
  return !(await isHeard(store, node))
}

/** Where its channel can't be looked at, the lease decides. */
const isHeard = async (store: Watched, node: string): Promise<boolean> =>
  (await isListening(store, node).catch(() => true)) ?? true
