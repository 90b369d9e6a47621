import { setMaxListeners } from 'node:events'
import type { JsonRpcNotification, JsonRpcRequest } from '../../json-rpc.js'
import { takesTasks, TASKS } from '../../protocol.js'
import { parsePlace } from '../../session/place.js'
import { sleepFor } from '../../timers.js'
import type { Exchange } from '../exchange.js'
import { refuse } from '../replies.js'
import { parkedFor } from './asked.js'
import { detailedTask, findTask } from './find-task.js'
import type { Task } from './find-task.js'

/** Of which one stream tells. */
const MOST_TASKS = 100
/** So often a task is looked at that changes all the time. */
export const LOOK_EVERY_MS = 250

/** Of the tasks that a client wants to hear of, those that there are and that are its own. Throws a `Refusal`. */
export async function agreedTasks(
  exchange: Exchange,
  request: JsonRpcRequest,
  taskIds: unknown,
): Promise<string[] | undefined> {
  if (taskIds === undefined) return undefined
  if (!takesTasks(request)) throw refuse.lacksExtension(TASKS)
  if (!Array.isArray(taskIds) || taskIds.length > MOST_TASKS)
    throw refuse.invalidParams(`\`taskIds\` is a list of ${MOST_TASKS} at most`)
  const found = await Promise.all([...new Set(taskIds)].map(async (taskId) => findTask(exchange, taskId)))
  return found.flatMap((task) => (task ? [detailedTask(task).taskId] : []))
}

/**
 * Tells how tasks are when it begins, and then whenever that has changed, on whichever node (SEP-2663, "Task Status
 * Notifications"). What it has missed is in what it tells next.
 */
export class TaskWatch {
  readonly #exchange: Exchange
  readonly #tell: (message: JsonRpcNotification) => void
  readonly #ended = new AbortController()

  constructor(exchange: Exchange, tell: (message: JsonRpcNotification) => void) {
    this.#exchange = exchange
    this.#tell = tell
    setMaxListeners(0, this.#ended.signal)
  }

  follow(taskIds: readonly string[]) {
    for (const taskId of taskIds.slice(0, MOST_TASKS)) void this.#follow(taskId)
  }

  end() {
    this.#ended.abort()
  }

  get #isOver() {
    return this.#ended.signal.aborted
  }

  async #follow(taskId: string) {
    const { services } = this.#exchange
    const place = parsePlace(taskId)
    if (!place) return
    const changes = new Changed()
    const { scope, callId } = place
    const watch = services.watcher.watch(scope, `call:${callId}`, () => changes.note())
    this.#ended.signal.addEventListener('abort', () => changes.note(), { once: true })
    await watch.active.catch(() => undefined)
    let told = ''
    while (!this.#isOver) {
      // What can't be read now is looked for again when the store wakes its readers, which it does now and then.
      const task = await findTask(this.#exchange, taskId).catch(() => 'unknown' as const)
      if (!task || this.#isOver) break
      if (task !== 'unknown') {
        if (told === '' && !task.asked.end) services.calls.rescue(task.now.scope, parkedFor(task.asked))
        told = this.#tellOf(task, told)
        if (task.asked.end && !task.asked.inner) break
      }
      await changes.next()
      await sleepFor(LOOK_EVERY_MS, { signal: this.#ended.signal, ref: false })
    }
    watch.end()
  }

  /** Returns what it has told. */
  #tellOf(task: Task, told: string): string {
    const params = detailedTask(task)
    const { lastUpdatedAt: _, pollIntervalMs: __, ...state } = params
    const telling = JSON.stringify(state)
    if (telling !== told) this.#tell({ jsonrpc: '2.0', method: 'notifications/tasks', params })
    return telling
  }
}

/** Whether something has changed since it was asked last. */
export class Changed {
  #has = false
  #wake: () => void = () => undefined

  note() {
    this.#has = true
    this.#wake()
  }

  async next() {
    if (!this.#has) await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#has = false
  }
}
