import type { Store } from '@mcp-durable/core'
import type { RedisInspection } from '@mcp-durable/redis-store/inspect'

const PAGE = 100

/** `calls`: journals, of open calls and of those that a history names. `entries`: of histories. */
export type Cleared = { sessions: number; openCalls: number; calls: number; entries: number }

const NOTHING: Cleared = { sessions: 0, openCalls: 0, calls: 0, entries: 0 }

/** Deletes a session and its history: its streams end, and its open calls are aborted wherever they run. */
export async function clearSession(inspect: RedisInspection, store: Store, id: string): Promise<Cleared> {
  const openCalls = (await inspect.sessions.read(id))?.openCalls.length ?? 0
  const forgotten = await store.forget({ scope: id })
  return { ...forgotten, openCalls: forgotten.sessions > 0 ? openCalls : 0 }
}

/** Deletes every session and every history of the prefix, page by page; those that begin meanwhile may stay. */
export async function clearAll(inspect: RedisInspection, store: Store): Promise<Cleared> {
  const cleared = { ...NOTHING }
  const clearPage = async (ids: readonly string[]) => {
    const outcomes = await Promise.all(ids.map((id) => clearSession(inspect, store, id)))
    for (const outcome of outcomes) add(cleared, outcome)
    return outcomes
  }
  // What is named there and is no session any more goes by itself.
  let skip = 0
  for (;;) {
    const ids = await inspect.sessions.newest(PAGE, skip)
    if (ids.length === 0) break
    skip += (await clearPage(ids)).filter(({ sessions }) => sessions === 0).length
  }
  for await (const ids of inspect.sessions.kept()) await clearPage(ids)
  return cleared
}

function add(sum: Cleared, more: Cleared) {
  for (const name of Object.keys(sum) as (keyof Cleared)[]) sum[name] += more[name]
}
