import type { Contents } from './contents.js'
import { callIdOf } from './event-ids.js'
import type { Journal } from './journal.js'
import type { ObservedCall } from './observed-call.js'
import { TASK_CANCELLED } from './task-client.js'

/** Why a task ends that its client has cancelled, */
export const CANCELLED = 'The client has cancelled the task.'
/** or that has run for too long. */
export const EXPIRED = 'The task has run for as long as it may (taskTtlMs).'

/** What a client was told of a task is what its journal says, at any time. */
export function checkTask({ task, outcome }: ObservedCall, journals: readonly Journal[]): string[] {
  if (!task) return []
  const found = [...task.wrong]
  const journal = journals.find(({ callId }) => callId === callIdOf(task.taskId))
  if (!journal) return [...found, `the task ${task.taskId} has no journal`]
  if (!journal.isTask) found.push('its journal does not say that it is a task')
  const last = journal.records.at(-1)
  const isCancelled = last?.kind === 'cancelled'
  const wasTold = outcome && 'failure' in outcome && outcome.failure === TASK_CANCELLED
  if (wasTold !== isCancelled && task.endedAt !== undefined)
    found.push(`its client was told that it was ${wasTold ? '' : 'not '}cancelled`)
  const lastOwner = journal.owners.at(-1)
  if (!isCancelled && task.cancelledAt !== undefined && (lastOwner?.epoch ?? 0) > task.cancelledAt)
    found.push('a node went on with it that has claimed it after it was cancelled')
  return found
}

/** What does not hold of the end of a call that is cancelled for this reason, and is a task. */
export function checkCancelledTask({ task }: ObservedCall, reason: string): string[] {
  if (reason === CANCELLED && task?.cancelledAt !== undefined) return []
  const isLate = task?.endedAt !== undefined && task.endedAt >= task.createdAt + task.ttlMs
  return reason === EXPIRED && isLate ? [] : [`the task was cancelled: ${reason}`]
}

/** It is kept for as long as its client was told. */
export async function checkKept(
  contents: Pick<Contents, 'keptForMs'>,
  { task }: ObservedCall,
  journals: readonly Journal[],
): Promise<string[]> {
  const journal = task && journals.find(({ callId }) => callId === callIdOf(task.taskId))
  if (!journal) return []
  const until = (await contents.keptForMs(journal)) + Date.now()
  const missingMs = task.createdAt + task.ttlMs - until
  return missingMs > 0 ? [`it goes ${missingMs} ms before its time`] : []
}
