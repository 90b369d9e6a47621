import { DurableError } from '../errors.js'
import { MAX_DEPTH, nestsDeeper } from '../json-depth.js'
import { ErrorCode, errorResponse } from '../json-rpc.js'
import type { JsonRpcError, JsonRpcResponse, RequestId } from '../json-rpc.js'
import { beginningOf } from './answer.js'
import type { Answer } from './answer.js'

/** How the HTTP response to a client may go out instead of a plain 200. */
export type HttpAnswer = {
  status: number
  headers: Record<string, string>
  /** The request has certainly not been run. */
  isUnrun?: boolean
}

/** Goes along with a JSON-RPC response through the layers; JSON knows nothing of it. */
export const HTTP_ANSWER = Symbol('http answer')

export const httpAnswerOf = (response: JsonRpcResponse | undefined): HttpAnswer | undefined =>
  (response as { [HTTP_ANSWER]?: HttpAnswer } | undefined)?.[HTTP_ANSWER]

/** Headers of a refusal that a client can make use of. */
const TOLD = ['www-authenticate', 'retry-after']
const LONGEST_TEXT = 300
/** By which a server says that it has not let the request in. */
const UNRUN = new Set([401, 403, 429])

export function unreachable(id: RequestId): JsonRpcError {
  const message = 'Bad Gateway: the server behind this one cannot be reached; nothing was done. Try again.'
  return withStatus(
    { jsonrpc: '2.0', id, error: { code: ErrorCode.refused, message } },
    { status: 502, headers: {}, isUnrun: true },
  )
}

export function broken(id: RequestId, what: string): JsonRpcError {
  const message = `Bad Gateway: the server behind this one ${what}.`
  return withStatus(
    { jsonrpc: '2.0', id, error: { code: ErrorCode.internalError, message } },
    { status: 502, headers: {} },
  )
}

/** The server's own refusal of a request: its error if it gave one, with its status. */
export async function refusalOf(id: RequestId, answer: Answer): Promise<JsonRpcError> {
  const text = await beginningOf(answer)
  if (answer.status < 400) return broken(id, 'sends its clients elsewhere; give the address where it serves')
  const error = errorIn(text) ?? {
    code: ErrorCode.refused,
    message: `The server answered ${answer.status}: ${text.slice(0, LONGEST_TEXT)}`,
  }
  const headers = Object.fromEntries(
    TOLD.flatMap((name) => {
      const value = answer.header(name)
      return value === undefined ? [] : [[name, value]]
    }),
  )
  // 404 would tell the client that its session with us is gone.
  const status = answer.status === 404 ? 502 : answer.status
  return withStatus({ jsonrpc: '2.0', id, error }, { status, headers, isUnrun: UNRUN.has(answer.status) })
}

function withStatus(response: JsonRpcError, answer: HttpAnswer): JsonRpcError {
  return Object.assign(response, { [HTTP_ANSWER]: answer })
}

function errorIn(text: string): JsonRpcError['error'] | undefined {
  if (nestsDeeper(MAX_DEPTH, text)) return undefined
  try {
    const { error } = JSON.parse(text) as Partial<JsonRpcError>
    return typeof error?.code === 'number' && typeof error.message === 'string' ? error : undefined
  } catch {
    return undefined
  }
}

/** What a server is told whose question can't be asked: it would wait for ever. */
export function unasked(id: RequestId, error: unknown): JsonRpcError {
  const reason = error instanceof DurableError ? error.message : 'it could not be asked'
  return errorResponse(id, ErrorCode.refused, reason)
}
