import { NotJsonError, messageOf } from './errors.js'
import { checkGiven } from './known-options.js'
import { MAX_DEPTH, nestsDeeper } from './json-depth.js'

/** JSON-RPC 2.0 messages as MCP uses them (specification, "Base Protocol: Messages"). Shapes only; no method is known here. */
export type RequestId = string | number
export type Params = { _meta?: Record<string, unknown>; [key: string]: unknown }
export type JsonRpcRequest = { jsonrpc: '2.0'; id: RequestId; method: string; params?: Params }
export type JsonRpcNotification = { jsonrpc: '2.0'; method: string; params?: Params }
export type JsonRpcResult = { jsonrpc: '2.0'; id: RequestId; result: Record<string, unknown> }
export type JsonRpcErrorObject = { code: number; message: string; data?: unknown }
export type JsonRpcError = { jsonrpc: '2.0'; id?: RequestId | null; error: JsonRpcErrorObject }
export type JsonRpcResponse = JsonRpcResult | JsonRpcError
export type JsonRpcMessage = JsonRpcRequest | JsonRpcNotification | JsonRpcResponse

export const isRequest = (message: JsonRpcMessage): message is JsonRpcRequest =>
  'method' in message && 'id' in message
export const isNotification = (message: JsonRpcMessage): message is JsonRpcNotification =>
  'method' in message && !('id' in message)
export const isResponse = (message: JsonRpcMessage): message is JsonRpcResponse => !('method' in message)

export const ErrorCode = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
  /** What the SDK answers for refusals of the transport that the specification gives no number. */
  refused: -32000,
  sessionNotFound: -32001,
  /** Of 2026-07-28, "Error Codes". */
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
} as const

/** The JSON of a value. Throws a `NotJsonError` where it has none. */
export function encodeJson(value: unknown): string {
  let json: string | undefined
  try {
    json = JSON.stringify(value)
  } catch (cause) {
    const [problem = ''] = messageOf(cause).split('\n', 1)
    throw new NotJsonError(problem, { cause })
  }
  if (json === undefined) throw new NotJsonError(`${typeof value} has no form in it.`)
  // Not every version of Node.js has a limit of its own, and clients have one.
  if (nestsDeeper(MAX_DEPTH, json)) throw new NotJsonError(`it is nested deeper than ${MAX_DEPTH} levels.`)
  return json
}

/**
 * The JSON of a message. Throws a `NotJsonError` where it has none, and for a response that clients would take for no
 * message at all, and wait on: a result is an object (MCP, "Base Protocol: Responses"), an error has a code and a text.
 */
export function encodeMessage(message: JsonRpcMessage): string {
  const json = encodeJson(message)
  if (isResponse(message) && !isReadable(message, json))
    throw new NotJsonError(
      'error' in message ? 'the error has no code or no text.' : 'the result is no object.',
    )
  return json
}

function isReadable(response: JsonRpcResponse, json: string): boolean {
  const isError = 'error' in response
  const given: unknown = isError ? response.error : response.result
  if (!isObject(given)) return false
  // What is written then is anything.
  const written =
    typeof given['toJSON'] === 'function' ? writtenIn(json, isError ? 'error' : 'result') : given
  if (!isObject(written)) return false
  return !isError || (Number.isInteger(written['code']) && typeof written['message'] === 'string')
}

const writtenIn = (json: string, member: string) => (JSON.parse(json) as Record<string, unknown>)[member]

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export function errorResponse(id: RequestId | null, code: number, message: string): JsonRpcError {
  return { jsonrpc: '2.0', id, error: { code, message } }
}

/** Throws a `TypeError` unless a program has given a notification. */
export function checkNotification(of: string, given: unknown) {
  const { method, params = {} } = Object(given) as { method?: unknown; params?: unknown }
  const isRight = typeof method === 'string' && isObject(params)
  checkGiven(isRight, `${of} takes a notification: { method: 'notifications/…', params: { … } }`, given)
}
