import type { PlaceOwner, QuotaStore } from '../store/quotas.js'
import { isParked } from '../store/takeover.js'
import type { TakeoverStore } from '../store/takeover.js'
import { isOpenPlace } from './call-quotas.js'

/** Places of calls that may be gone are looked at so many at once. */
const PAGE = 100

/**
 * Gives back places of calls that don't need them: that are not open, or, of those that run, are parked; once they are too old to be of
 * calls that are just being opened. True: there were some.
 */
export async function freeGone(
  store: QuotaStore & TakeoverStore,
  name: string,
  leaseMs: number,
): Promise<boolean> {
  const old = await store.oldPlaces(name, 2 * leaseMs, PAGE)
  const freed = await Promise.all(
    old.map(async ({ takenAt, ...owner }) => {
      if (await isNeeded(store, name, owner)) return false
      await store.releasePlaces(owner, [name], takenAt)
      return true
    }),
  )
  return freed.includes(true)
}

async function isNeeded(store: TakeoverStore, name: string, { scope, callId }: PlaceOwner) {
  const open = await store.listOpenCalls(scope)
  const call = open.find((each) => each.callId === callId)
  return call !== undefined && (isOpenPlace(name) || !isParked(call.owner))
}
