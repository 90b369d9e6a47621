import type { HandlerKind } from '../call/record.js'
import { UnrecordableError } from '../errors.js'
import type { JsonRpcError, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { ErrorCode, errorResponse } from '../json-rpc.js'
import { isAlone } from '../protocol.js'

/** Requests that only read, or that set what they would set again. */
const REPEATABLE = new Set([
  'completion/complete',
  'logging/setLevel',
  'ping',
  'prompts/get',
  'prompts/list',
  'resources/list',
  'resources/read',
  'resources/subscribe',
  'resources/templates/list',
  'resources/unsubscribe',
  'tools/list',
])

/** Of whose handlers a journal says what kind they are. */
const OF_HANDLERS = new Set(['tools/call', 'prompts/get', 'resources/read'])
export const isOfHandler = ({ method }: JsonRpcRequest) => OF_HANDLERS.has(method)

/** What is known of a tool when one of its calls is taken over: what it is now, by the server that would run it. */
export type RecoveredTool = {
  name: string
  /** Its handler is a `durableTool`; false too where that can't be seen, which is behind `handler` and `upstream`. */
  durable: boolean
  annotations: { idempotentHint?: boolean; readOnlyHint?: boolean; [hint: string]: unknown }
}

/** A call whose node is gone, as `recover` is asked about it. */
export type RecoveredCall = {
  method: string
  params: Record<string, unknown> | undefined
  /** For `tools/call`, if the server lists the tool. */
  tool: RecoveredTool | undefined
  /** What the interrupted run was one of: `tool` may have changed since. */
  interrupted: HandlerKind
  /** The number of the run that would follow: 2 or more. */
  attempt: number
}

/**
 * Whether a call may be run again by a handler of the kind `now`. What has run decides, since it has had its effects: what a
 * durable handler has recorded only a durable one reads, and what a plain one has done is nowhere. What runs next must
 * agree.
 */
export function mayRunAgain({ method, tool, interrupted }: RecoveredCall, now: HandlerKind): boolean {
  const isRead = REPEATABLE.has(method)
  if (!isRead && (method !== 'tools/call' || !tool)) return false
  if (interrupted === 'durable') return now === 'durable' || now === 'listed'
  if (isRead) return true
  if (!tool || interrupted === 'plain') return false
  return isRepeatable(tool.annotations) || (interrupted === 'repeatable' && now === 'durable')
}

/** A tool that says that a second call does nothing more. */
export const isRepeatable = (annotations: RecoveredTool['annotations'] | undefined) =>
  annotations?.idempotentHint === true || annotations?.readOnlyHint === true

/** What is known of how a call was interrupted that is not run again. */
const INTERRUPTED = {
  'node-gone': 'the server process that ran it has ended, or did not answer the others in time',
  unserved: 'its server process is gone, and no other one has what it needs to go on with it',
  failed: 'its server process is gone, and the next one could not go on with it',
  'no-answer': 'no whole answer to it came from the server behind this one',
}
export type Interruption = keyof typeof INTERRUPTED

/** How a call ends that may not be run again. No call hangs. */
export function outcomeUnknown(request: JsonRpcRequest, interruption: Interruption): JsonRpcResponse {
  const { id, method, params } = request
  const why = INTERRUPTED[interruption]
  if (method !== 'tools/call') {
    const message = `${method} was interrupted: ${why}. It is not run again: its outcome is unknown.`
    return errorResponse(id, ErrorCode.internalError, message)
  }
  const text =
    `The tool ${String(params?.['name'])} was interrupted: ${why}. ` +
    'It is not run again: its outcome is unknown. Check what it has done before you call it again.'
  return toolError(request, text)
}

/** Whether a call has ended like this: as it was interrupted, nobody knows what it has done. */
export function isOutcomeUnknown(response: JsonRpcResponse): boolean {
  if ('error' in response) return INTERRUPTION.test(response.error.message)
  const { isError, content } = response.result as { isError?: unknown; content?: unknown }
  const [first] = isError === true && Array.isArray(content) ? (content as Array<{ text?: unknown }>) : []
  return typeof first?.text === 'string' && INTERRUPTION.test(first.text)
}

const INTERRUPTION = / was interrupted[^]* its outcome is unknown\./

/** How a request ends whose handler came to what can't be recorded, or said it. */
export function unrecordable({ id, method, params }: JsonRpcRequest, error: Error): JsonRpcError {
  const name = method === 'tools/call' ? `The tool ${String(params?.['name'])}` : method
  const problem =
    error instanceof UnrecordableError ? error.message : 'the server has failed; its log says why.'
  const message = `${name} was run, and what came of it can't be sent: ${problem}`
  return errorResponse(id, ErrorCode.internalError, message)
}

/** How a call ends that has outlived too many nodes. */
export function gaveUp(request: JsonRpcRequest, attempts: number): JsonRpcResponse {
  const { id, method, params } = request
  const name = method === 'tools/call' ? `The tool ${String(params?.['name'])}` : method
  const text = `${name} was interrupted ${attempts} times and is not tried again; its outcome is unknown.`
  if (method !== 'tools/call') return errorResponse(id, ErrorCode.internalError, text)
  return toolError(request, text)
}

/** In the form of the version that the request is of. */
function toolError(request: JsonRpcRequest, text: string): JsonRpcResponse {
  const form = isAlone(request) ? { resultType: 'complete' } : {}
  return {
    jsonrpc: '2.0',
    id: request.id,
    result: { ...form, content: [{ type: 'text', text }], isError: true },
  }
}
