import type { JsonRpcErrorObject, JsonRpcResponse } from '../../json-rpc.js'
import type { RetrySettings } from '../retry-options.js'
import { askServer, NoAnswerError } from './ask-server.js'
import { encodeState } from './request-state.js'
import type { AnsweredTask } from './request-state.js'
import type { TaskCall } from './task-call.js'
import { failure, pollMsOf, readTask } from './task-state.js'
import type { Outcome, TaskState } from './task-state.js'

/** Answers whose questions are still open after so long were lost: they are given again. The server takes each once. */
const ANSWER_AGAIN_MS = 5_000
const CANCEL_WITHIN_MS = 5_000
/** The client may bring other credentials after the first, and renew them after the second. */
const MAX_REFUSALS = 2

/**
 * What to do next: to answer the call; to let the client come back with other credentials, which `refusal` is to tell it of; to
 * wait until the server wants to be asked again, `message` being what it says of the task.
 */
export type Step =
  { outcome: Outcome } | { refusal: Response } | { pollMs: number; message?: string | undefined }

/** A task of the server, for as long as one request of the client waits for it: until its end, or its next questions. */
export class FollowedTask {
  readonly #taskId: string
  readonly #settings: RetrySettings
  readonly #responses: Record<string, unknown>
  readonly #answered: ReadonlySet<string>
  /** When the answers were given. `undefined`: they are to be given. */
  #answersAt: number | undefined
  #notTaken: JsonRpcErrorObject | undefined
  #refusals = 0
  #ended = false
  readonly #unheed = new Map<AbortSignal, () => void>()
  #call: TaskCall

  constructor({ taskId, responses, answered }: AnsweredTask, call: TaskCall, settings: RetrySettings) {
    this.#taskId = taskId
    this.#settings = settings
    this.#call = call
    this.#heed(call.init.signal)
    this.#responses = responses
    this.#answered = new Set([...answered, ...Object.keys(responses)])
  }

  /** The task that the response to a `tools/call` names, and what to do first. `undefined`: it names none. */
  static begunBy(
    response: JsonRpcResponse | undefined,
    call: TaskCall,
    settings: RetrySettings,
  ): { task: FollowedTask; first: Step } | undefined {
    if (!response || !('result' in response) || response.result['resultType'] !== 'task') return undefined
    const { taskId, status, statusMessage } = response.result
    const isNamed = typeof taskId === 'string' && taskId !== ''
    const named = { taskId: isNamed ? taskId : '', responses: {}, answered: [] }
    const task = new FollowedTask(named, call, settings)
    if (!isNamed) {
      task.#end()
      const error = failure(taskId, 'The server has begun a task and does not say its taskId.')
      return { task, first: { outcome: { error } } }
    }
    const message = typeof statusMessage === 'string' ? statusMessage : undefined
    return { task, first: { pollMs: status === 'working' ? pollMsOf(response.result) : 0, message } }
  }

  /** The request that waits for it. */
  get call() {
    return this.#call
  }

  /** The client has come back, with the headers and the signal that it has now. */
  goOnFor(url: string | URL, init: RequestInit) {
    this.#call = { ...this.#call, url, init }
    this.#heed(init.signal)
  }

  /** Gives the answers that are to be given, and asks how the task is. Throws only what the signal says. */
  async step(signal: AbortSignal): Promise<Step> {
    const step = await this.#ask(signal).catch((error: unknown) => {
      if (error instanceof NoAnswerError) return { outcome: { error: this.#failure(error.message) } }
      throw error
    })
    if ('outcome' in step) this.#end()
    return step
  }

  /** Once, and not when the request has been answered. It may fail: nobody waits for it. */
  cancel() {
    if (this.#ended) return
    this.#end()
    const ending = { settings: this.#settings, signal: AbortSignal.timeout(CANCEL_WITHIN_MS) }
    askServer(this.#call, 'tasks/cancel', { taskId: this.#taskId }, ending).catch(() => undefined)
  }

  #heed(signal: AbortSignal | null | undefined) {
    if (!signal || this.#ended || this.#unheed.has(signal)) return
    const cancel = () => this.cancel()
    signal.addEventListener('abort', cancel)
    this.#unheed.set(signal, () => signal.removeEventListener('abort', cancel))
    if (signal.aborted) this.cancel()
  }

  #end() {
    this.#ended = true
    for (const unheed of this.#unheed.values()) unheed()
    this.#unheed.clear()
  }

  async #ask(signal: AbortSignal): Promise<Step> {
    const options = { settings: this.#settings, signal }
    const taskId = this.#taskId
    const inputResponses = this.#responses
    if (this.#answersAt === undefined && Object.keys(inputResponses).length > 0) {
      const answer = await askServer(this.#call, 'tasks/update', { taskId, inputResponses }, options)
      if ('refusal' in answer) return this.#refused(answer.refusal)
      this.#refusals = 0
      this.#answersAt = performance.now()
      this.#notTaken = 'error' in answer.response ? answer.response.error : undefined
    }
    const answer = await askServer(this.#call, 'tasks/get', { taskId }, options)
    if ('refusal' in answer) return this.#refused(answer.refusal)
    this.#refusals = 0
    const state = readTask(taskId, answer.response)
    return state.kind === 'ended' ? state : this.#stepFor(state)
  }

  #refused(refusal: Response): Step {
    if (++this.#refusals <= MAX_REFUSALS) return { refusal }
    const words = `The server does not let this client ask how its task is any more (${refusal.status}). The task goes on.`
    return { outcome: { error: this.#failure(words) } }
  }

  #stepFor({ pollMs, message, questions }: Exclude<TaskState, { kind: 'ended' }>): Step {
    const taskId = this.#taskId
    const open = Object.entries(questions).filter(([key]) => !this.#answered.has(key))
    if (open.length > 0) {
      const requestState = encodeState({ taskId, answered: [...this.#answered] })
      const inputRequests = Object.fromEntries(open)
      return { outcome: { result: { resultType: 'input_required', inputRequests, requestState } } }
    }
    const isWaiting = Object.keys(questions).some((key) => Object.hasOwn(this.#responses, key))
    if (isWaiting && this.#notTaken) {
      const words = `The server does not take the answers, and the task waits for others: ${this.#notTaken.message}`
      return { outcome: { error: { ...this.#failure(words), code: this.#notTaken.code } } }
    }
    const answersAt = this.#answersAt ?? Infinity
    if (isWaiting && performance.now() - answersAt > ANSWER_AGAIN_MS) this.#answersAt = undefined
    return { pollMs, message }
  }

  #failure(message: string): JsonRpcErrorObject {
    return failure(this.#taskId, message)
  }
}
