import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { AloneClient, envelope, headersFor, TAKES_TASKS } from './alone-client.js'
import { takeOutcome } from './followed-call.js'
import type { ObservedCall, ObservedTask } from './observed-call.js'
import type { RawOptions } from './raw-client.js'

/** What its client does when a task asks something: it answers, answers twice, cancels the task, or nothing. */
export type TaskManner = 'answers' | 'twice' | 'cancels' | 'silent'
type Options = RawOptions & {
  manner?: TaskManner
  /** When to cancel a task that has not ended; default: never. */
  cancelAfterMs?: (() => number | undefined) | undefined
}
type Told = {
  result?: {
    resultType: string
    taskId: string
    status: string
    createdAt: string
    ttlMs: number
    inputRequests?: Record<string, { params?: { message?: string } }>
    result?: { content?: { text?: string }[]; isError?: boolean }
    error?: { message: string }
  }
  error?: { code: number; message: string }
}

/** How the outcome of a task reads that was cancelled. */
export const TASK_CANCELLED = 'the task was cancelled'

/** Longer than owner after owner may die or stand still. */
const GIVE_UP_MS = 120_000
const POLL_MS = 100
const ENDS = new Set(['completed', 'failed', 'cancelled'])

/** A client without a session that takes tasks, and asks whichever node for them. */
export class TaskClient {
  readonly #options: Options
  #nextId = 1

  constructor(options: Options) {
    this.#options = options
  }

  /** Calls the tool, and asks for the task until it has ended. */
  async call(
    call: ObservedCall,
    about: { idempotencyKey?: string; gone?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const { gone, ...more } = about
    const caller = new AloneClient({ ...this.#options, takesTasks: true })
    await caller.call(call, { ...more, ...(gone && { gone }) })
    if (call.task) await this.#follow(call, call.task, gone)
  }

  async #follow(call: ObservedCall, task: ObservedTask, gone: AbortSignal | undefined) {
    const until = Date.now() + GIVE_UP_MS
    const answered = new Set<string>()
    const cancelAt = Date.now() + (this.#options.cancelAfterMs?.() ?? Number.POSITIVE_INFINITY)
    const isOver = () => call.outcome !== undefined || gone?.aborted === true || Date.now() >= until
    while (!isOver()) {
      const told = await this.#ask('get', task)
      await this.#told(call, task, told, answered)
      if (!call.outcome && Date.now() >= cancelAt && task.cancelledAt === undefined) await this.#cancel(task)
      if (!call.outcome) await sleep(POLL_MS)
    }
    call.outcome ??= { failure: gone?.aborted ? 'the client went away' : 'no end of the task in time' }
  }

  async #told(call: ObservedCall, task: ObservedTask, { result, error }: Told, answered: Set<string>) {
    if (error) {
      call.outcome = { failure: `tasks/get was refused: ${error.message}` }
      task.wrong.push(`it was not found: ${JSON.stringify(error)}`)
    }
    if (!result) return
    const { status, createdAt, ttlMs, taskId } = result
    if (taskId !== task.taskId || Date.parse(createdAt) !== task.createdAt || ttlMs !== task.ttlMs)
      task.wrong.push(`it is another one: ${JSON.stringify(result)}`)
    if (status === 'input_required') await this.#asked(call, task, result.inputRequests ?? {}, answered)
    if (!ENDS.has(status)) return
    task.endedAt = Date.now()
    const again = (await this.#ask('get', task)).result?.status
    if (again !== undefined && again !== status) task.wrong.push(`it was ${status}, and then ${again}`)
    takeOutcome(call, result)
    if (status === 'cancelled') call.outcome = { failure: TASK_CANCELLED }
  }

  async #asked(
    call: ObservedCall,
    task: ObservedTask,
    questions: NonNullable<NonNullable<Told['result']>['inputRequests']>,
    answered: Set<string>,
  ) {
    const { manner = 'answers', answer } = this.#options
    for (const [key, { params }] of Object.entries(questions)) {
      if (answered.has(key)) task.wrong.push(`'${key}' was asked once more`)
      if (answered.has(key) || manner === 'silent') continue
      if (manner === 'cancels') return this.#cancel(task)
      const question = params?.message ?? ''
      call.asked.push(question)
      const given = await answer(question)
      call.answers.set(question, given)
      await this.#update(task, key, given)
      answered.add(key)
      if (manner === 'twice') await this.#update(task, key, randomUUID())
    }
  }

  async #update(task: ObservedTask, key: string, answer: string) {
    const inputResponses = { [key]: { action: 'accept', content: { answer } } }
    const { error } = await this.#ask('update', task, { inputResponses })
    if (error) task.wrong.push(`its answer was refused: ${JSON.stringify(error)}`)
  }

  async #cancel(task: ObservedTask) {
    const { error } = await this.#ask('cancel', task)
    if (error) task.wrong.push(`it could not be cancelled: ${JSON.stringify(error)}`)
    task.cancelledAt ??= Date.now()
  }

  /** Until a node answers. All that is asked here may be asked again. */
  async #ask(method: string, { taskId }: ObservedTask, more: object = {}): Promise<Told> {
    const id = this.#nextId++
    const params = { taskId, ...more, _meta: envelope(TAKES_TASKS) }
    const body = JSON.stringify({ jsonrpc: '2.0', id, method: `tasks/${method}`, params })
    const headers = headersFor(`tasks/${method}`, taskId)
    const until = Date.now() + GIVE_UP_MS
    for (;;) {
      try {
        const response = await this.#options.fetch(this.#options.url, { method: 'POST', headers, body })
        if (response.status < 500) return (await response.json()) as Told
        await response.text()
      } catch (error) {
        if (Date.now() > until) throw error
      }
      if (Date.now() > until) return {}
      await sleep(POLL_MS)
    }
  }
}
