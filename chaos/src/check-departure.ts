import { checkCancelledTask } from './check-task.js'
import { epochOf } from './event-ids.js'
import type { Journal } from './journal.js'
import type { Fate } from './node-pool.js'
import type { Connection, ObservedCall } from './observed-call.js'

/** How long a client may be away before its call is cancelled, as the nodes are told. */
export const CANCEL_AFTER_MS = 2000
/** What comes on top: the other nodes are asked, and machines are slow. */
const CANCELLED_WITHIN_MS = CANCEL_AFTER_MS + 4000
/** Why a call ends whose client has gone. */
export const GONE = 'The client has closed the stream.'

/** What happened to nodes, and to the store. */
export type Fates = { nodes: ReadonlyMap<string, readonly Fate[]>; store: readonly Fate[] }

/** A client that is gone has its call cancelled; nobody else has, whatever happens to the nodes. */
export function checkDeparture(call: ObservedCall, journals: readonly Journal[], fates: Fates): string[] {
  return journals
    .filter(({ wasTakenBack }) => !wasTakenBack)
    .flatMap((journal) => {
      const last = journal.records.at(-1)
      if (last?.kind !== 'cancelled')
        return !journal.isTask && isLeftBehind(call, fates) ? ['it went on without its client'] : []
      return journal.isTask
        ? checkCancelledTask(call, JSON.parse(last.json) as string)
        : checkCancelled(call, journal)
    })
}

/** A call that is no task, and was cancelled by nobody. */
export function checkCancelled({ connections, abortedAt }: ObservedCall, { records }: Journal): string[] {
  const reason = JSON.parse(records.at(-1)?.json ?? '""') as string
  if (reason !== GONE) return [`it was cancelled: ${reason}`]
  if (abortedAt !== undefined) return []
  const awayMs = longestAbsence(connections, epochOf(records[0]?.id ?? ''))
  return awayMs < CANCEL_AFTER_MS ? [`it was cancelled, and its client was away for ${awayMs} ms only`] : []
}

/**
 * Whether its client has gone before the eyes of a node that lived on. If that one dies too, nobody knows any more that the
 * client has closed anything; while the store is away it takes longer.
 */
function isLeftBehind({ tool, connections, abortedAt }: ObservedCall, { nodes, store }: Fates): boolean {
  if (tool !== 'linger' || abortedAt === undefined) return false
  const last = connections.at(-1)
  const wasThere = last && last.events.length > 0 && last.closedAt !== undefined && last.closedAt >= abortedAt
  if (!wasThere || last.node === undefined) return false
  const until = abortedAt + CANCELLED_WITHIN_MS
  const struck = [...(nodes.get(last.node) ?? []), ...store]
  return !struck.some(({ from, to }) => from <= until && to >= abortedAt - 100)
}

/** In ms, since the call was opened, or between two connections. */
function longestAbsence(connections: readonly Connection[], calledAt: number): number {
  let longest = 0
  let until = calledAt
  for (const { openedAt, closedAt = Number.POSITIVE_INFINITY } of connections) {
    longest = Math.max(longest, openedAt - until)
    until = Math.max(until, closedAt)
  }
  return longest
}
