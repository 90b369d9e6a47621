import type { Store } from '@mcp-durable/core'
import type { Inspection } from '@mcp-durable/core/inspect'
import { count } from '../show/text.js'

const PAGE = 100

/** `calls`: journals, of open calls and of those that a history names. `entries`: of histories. */
export type Cleared = { sessions: number; openCalls: number; calls: number; entries: number }

const NOTHING: Cleared = { sessions: 0, openCalls: 0, calls: 0, entries: 0 }

/** In words. Open calls are not counted where they are found by their principal. */
export function toldOf({
  sessions,
  openCalls,
  calls,
  entries,
}: Omit<Cleared, 'openCalls'> & { openCalls?: number }) {
  const open = openCalls === undefined ? count(calls, 'call') : count(openCalls, 'open call')
  const what =
    sessions === 0 && calls > 0 ? count(calls, 'call') : `${count(sessions, 'session')} with ${open}`
  return `deleted ${what}${entries > 0 ? `, ${count(entries, 'entry', 'entries')} of history` : ''}`
}

/** Deletes a session, or a call that belongs to none, and its history: streams end, and open calls are aborted wherever they run. */
export async function clearSession(inspect: Inspection, store: Store, id: string): Promise<Cleared> {
  const openCalls = (await inspect.sessions.read(id))?.openCalls.length ?? 0
  const forgotten = await store.forget({ scope: id })
  return { ...forgotten, openCalls: forgotten.sessions + forgotten.calls > 0 ? openCalls : 0 }
}

/** Deletes every session, call, state and history of the prefix, page by page; those that begin meanwhile may stay. */
export async function clearAll(inspect: Inspection, store: Store): Promise<Cleared> {
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
  for await (const ids of inspect.sessions.stateful()) await clearPage(ids)
  for await (const calls of inspect.calls.all())
    await clearPage([...new Set(calls.map(({ scope }) => scope))])
  return cleared
}

function add(sum: Cleared, more: Cleared) {
  for (const name of Object.keys(sum) as (keyof Cleared)[]) sum[name] += more[name]
}
