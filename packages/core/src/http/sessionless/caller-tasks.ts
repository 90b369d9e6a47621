import type { CallerTasks, TaskSeen } from '../../context/caller-tasks.js'
import { sleepFor, startTimer } from '../../timers.js'
import type { HttpServices } from '../exchange.js'
import { parkedFor } from './asked.js'
import { detailedTask, findTask } from './find-task.js'
import type { Task } from './find-task.js'
import { takeAnswers } from './retry.js'
import { Changed, LOOK_EVERY_MS } from './task-watch.js'
import { cancelTask } from './tasks.js'

type Services = Pick<HttpServices, 'store' | 'askedViews' | 'calls' | 'sessions' | 'watcher'>
type Until = Parameters<CallerTasks['wait']>[2]

const CANCELLED = 'Its caller has cancelled it.'

/** What tools do with the tasks of their caller, on whichever node; see `CallerTasks`. */
export function callerTasks(services: () => Services): CallerTasks {
  const find = (taskId: string, principal: string | undefined) =>
    findTask({ services: services(), principal }, taskId)
  const read: CallerTasks['read'] = async (taskId, principal) => {
    const task = await find(taskId, principal)
    // Who asks for it waits for it: if its node is gone, this one goes on with it.
    if (task && !task.asked.end) services().calls.rescue(task.now.scope, parkedFor(task.asked))
    return task && seen(task)
  }
  return {
    read,
    wait: async (taskId, principal, until) => {
      const task = await find(taskId, principal)
      if (!task) return undefined
      const { scope, callId } = task.now
      const changes = new Changed()
      const watch = services().watcher.watch(scope, `call:${callId}`, () => changes.note())
      try {
        await watch.active.catch(() => undefined)
        return await waitFor(() => read(taskId, principal), changes, until)
      } finally {
        watch.end()
      }
    },
    answer: async (taskId, principal, answers) => {
      const task = await find(taskId, principal)
      if (!task) return undefined
      await takeAnswers(services(), task.now, answers, task.asked)
      return true
    },
    cancel: async (taskId, principal) => {
      const task = await find(taskId, principal)
      if (!task) return undefined
      await cancelTask(services(), task, CANCELLED)
      return true
    },
  }
}

function seen(task: Task): TaskSeen {
  const { inputRequests, ...told } = detailedTask(task) as Omit<TaskSeen, 'tool'>
  // What a server behind this one asks by itself is answered by requests to it.
  const asks = inputRequests && !task.asked.inner ? { inputRequests } : {}
  return { tool: String(task.asked.first?.params?.['name']), ...told, ...asks }
}

async function waitFor(
  read: () => Promise<TaskSeen | undefined>,
  changes: Changed,
  { ms, signal }: Until,
): Promise<TaskSeen | undefined> {
  let isLate = false
  const late = () => {
    isLate = true
    changes.note()
  }
  const callOff = startTimer(ms, late, { ref: false })
  const stop = () => changes.note()
  signal.addEventListener('abort', stop, { once: true })
  try {
    for (;;) {
      const task = await read()
      if (isLate || task?.status !== 'working') return task
      await changes.next()
      signal.throwIfAborted()
      if (!isLate) await sleepFor(LOOK_EVERY_MS, { signal, ref: false })
    }
  } finally {
    callOff()
    signal.removeEventListener('abort', stop)
  }
}
