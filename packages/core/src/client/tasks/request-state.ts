import { isObject } from '../../json-rpc.js'
import type { JsonRpcRequest } from '../../json-rpc.js'

/** A task whose questions the client was given. `answered`: the keys of those that it answered before. */
type AskingTask = { taskId: string; answered: readonly string[] }
/** `responses`: the answers that are new, by the keys of their questions. */
export type AnsweredTask = AskingTask & { responses: Record<string, unknown> }

const PREFIX = 'mcp-durable task '

/** For the client, which sends it back with its answers. Only this side reads it, so it need not be a secret. */
export const encodeState = (task: AskingTask) => `${PREFIX}${JSON.stringify(task)}`

/** The task that a request answers the questions of. `undefined`: its `requestState` is the server’s, or there is none. */
export function answeredTask({ params }: JsonRpcRequest): AnsweredTask | undefined {
  const state = params?.['requestState']
  if (typeof state !== 'string' || !state.startsWith(PREFIX)) return undefined
  const task = decode(state.slice(PREFIX.length))
  const responses = params?.['inputResponses']
  return task && { ...task, responses: isObject(responses) ? responses : {} }
}

function decode(text: string): AskingTask | undefined {
  try {
    const task: unknown = JSON.parse(text)
    if (!isObject(task) || typeof task['taskId'] !== 'string' || !Array.isArray(task['answered']))
      return undefined
    return { taskId: task['taskId'], answered: task['answered'].map(String) }
  } catch {
    return undefined
  }
}
