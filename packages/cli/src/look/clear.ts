import type { Store } from '@mcp-durable/core'
import type { RedisInspection } from '@mcp-durable/redis-store/inspect'

const PAGE = 100

export type Cleared = { sessions: number; openCalls: number }

/** Deletes a session as its client would: its streams end, and its open calls are aborted wherever they run. */
export async function clearSession(inspect: RedisInspection, store: Store, id: string): Promise<Cleared> {
  const session = await inspect.sessions.read(id)
  const deleted = session !== undefined && (await store.deleteSession(id, session.principal))
  return deleted ? { sessions: 1, openCalls: session.openCalls.length } : { sessions: 0, openCalls: 0 }
}

/** Deletes every session of the prefix, page by page; those that begin meanwhile may stay. */
export async function clearAll(inspect: RedisInspection, store: Store): Promise<Cleared> {
  const cleared = { sessions: 0, openCalls: 0 }
  // What is named there and is no session any more goes by itself.
  let skip = 0
  for (;;) {
    const ids = await inspect.sessions.newest(PAGE, skip)
    if (ids.length === 0) return cleared
    const outcomes = await Promise.all(ids.map((id) => clearSession(inspect, store, id)))
    for (const { sessions, openCalls } of outcomes) {
      cleared.sessions += sessions
      cleared.openCalls += openCalls
      if (sessions === 0) skip++
    }
  }
}
