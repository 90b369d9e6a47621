import { ErrorCode, isObject } from '../../json-rpc.js'
import type { JsonRpcErrorObject, JsonRpcResponse, RequestId } from '../../json-rpc.js'
import { isErrorObject } from './ask-server.js'

/** What the server says of a task. `questions`: those it waits for; `outcome`: the answer to the call. */
export type TaskState =
  | { kind: 'open'; pollMs: number; message: string | undefined; questions: Record<string, unknown> }
  | { kind: 'ended'; outcome: Outcome }

export type Outcome = { result: Record<string, unknown> } | { error: JsonRpcErrorObject }

export const responseOf = (id: RequestId, outcome: Outcome): JsonRpcResponse => ({
  jsonrpc: '2.0',
  id,
  ...outcome,
})

/** Where the server does not say how often it wants to be asked, and the bounds of what it says. */
const POLL_MS = 1_000
const MIN_POLL_MS = 200
const MAX_POLL_MS = 60_000

/** `pollIntervalMs`, as far as it is sensible. */
export function pollMsOf({ pollIntervalMs }: Record<string, unknown>): number {
  if (typeof pollIntervalMs !== 'number' || Number.isNaN(pollIntervalMs)) return POLL_MS
  return Math.min(Math.max(pollIntervalMs, MIN_POLL_MS), MAX_POLL_MS)
}

/** Reads the answer to `tasks/get`. */
export function readTask(taskId: string, response: JsonRpcResponse): TaskState {
  if ('error' in response) return ended(errorOf(taskId, response.error))
  const task = response.result
  const { status, statusMessage, result, error, inputRequests } = task
  const message = typeof statusMessage === 'string' ? statusMessage : undefined
  const pollMs = pollMsOf(task)
  const words = message === undefined ? '.' : `: ${message}`
  switch (status) {
    case 'working':
      return { kind: 'open', pollMs, message, questions: {} }
    case 'input_required':
      return { kind: 'open', pollMs, message, questions: isObject(inputRequests) ? inputRequests : {} }
    case 'completed':
      return isObject(result)
        ? { kind: 'ended', outcome: { result: { ...result, resultType: 'complete' } } }
        : ended(failure(taskId, 'The server says that the task is completed, and gives no result.'))
    case 'failed':
      return ended(isErrorObject(error) ? error : failure(taskId, `The task failed${words}`))
    case 'cancelled':
      return ended(failure(taskId, `The task was cancelled${words}`))
    default:
      return ended(
        failure(taskId, `The server says of the task what is no status of one: ${JSON.stringify(status)}`),
      )
  }
}

const ended = (error: JsonRpcErrorObject): TaskState => ({ kind: 'ended', outcome: { error } })

function errorOf(taskId: string, error: JsonRpcErrorObject): JsonRpcErrorObject {
  const { code, message } = error
  const text =
    code === ErrorCode.invalidParams
      ? `The server does not know the task: it has expired, or is another caller’s. The server said: ${message}`
      : `The server does not say how the task is: ${message}`
  return { code, message: text, data: { taskId } }
}

export const failure = (taskId: unknown, message: string): JsonRpcErrorObject => ({
  code: ErrorCode.internalError,
  message,
  data: { taskId },
})
