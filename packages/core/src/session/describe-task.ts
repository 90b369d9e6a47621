import type { TaskStatus } from '../context/caller-tasks.js'
import { nameOf } from './place.js'
import type { CallPlace } from './place.js'

/** A call as a task. `isQueued`: a quota is full, and it waits for its turn. `begunAt`: when it was opened; `changedAt`: when it was last written to, nearly; both in ms since 1970. */
export type TaskOf = {
  isTask: boolean
  isQueued?: boolean
  ttlMs: number
  begunAt: number
  changedAt: number
}

const QUEUED = 'Waiting for its turn: as many calls run, or were started lately, as may'
/** Clients that wait for long ask less often. */
const SHORTEST_POLL_MS = 1000
const LONGEST_POLL_MS = 15_000
const POLLS_IN_AGE = 20

/** What clients are told of a task in whichever state (SEP-2663, "Task"). */
export function describeTask(place: CallPlace, task: TaskOf, status: TaskStatus) {
  const { begunAt, changedAt, ttlMs } = task
  const age = Date.now() - begunAt
  const pollMs = Math.min(Math.max(SHORTEST_POLL_MS, age / POLLS_IN_AGE), LONGEST_POLL_MS)
  return {
    taskId: nameOf(place),
    status,
    createdAt: new Date(begunAt).toISOString(),
    lastUpdatedAt: new Date(Math.max(begunAt, changedAt)).toISOString(),
    ttlMs,
    pollIntervalMs: Math.round(pollMs),
    ...(task.isQueued && status === 'working' && { statusMessage: QUEUED }),
  }
}
