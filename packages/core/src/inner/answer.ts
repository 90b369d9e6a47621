import { ErrorCode, isResponse } from '../json-rpc.js'
import type { JsonRpcError, JsonRpcMessage, JsonRpcResponse, RequestId } from '../json-rpc.js'

/** How the HTTP response to a client may go out instead of a plain 200. */
export type HttpAnswer = { status: number; headers: Record<string, string> }

/** Goes along with a JSON-RPC response through the layers; JSON knows nothing of it. */
export const HTTP_ANSWER = Symbol('http answer')

export const httpAnswerOf = (response: JsonRpcResponse | undefined): HttpAnswer | undefined =>
  (response as { [HTTP_ANSWER]?: HttpAnswer } | undefined)?.[HTTP_ANSWER]

/** Headers of a refusal that a client can make use of. */
const TOLD = ['www-authenticate', 'retry-after']
const LONGEST_TEXT = 300
/** Refusals that may pass: another stream is open still, or the server is overloaded, starting or restarting. */
const TRANSIENT = new Set([409, 425, 429, 500, 502, 503, 504])

export const mayPass = ({ status }: Response) => TRANSIENT.has(status)

export function unreachable(id: RequestId): JsonRpcError {
  const message = 'Bad Gateway: the server behind this one cannot be reached; nothing was done. Try again.'
  return withStatus(
    { jsonrpc: '2.0', id, error: { code: ErrorCode.refused, message } },
    { status: 502, headers: {} },
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
export async function refusalOf(id: RequestId, response: Response): Promise<JsonRpcError> {
  const text = await response.text().catch(() => '')
  const headers = Object.fromEntries(
    TOLD.flatMap((name) => {
      const value = response.headers.get(name)
      return value === null ? [] : [[name, value]]
    }),
  )
  if (response.status < 400)
    return broken(id, 'sends its clients elsewhere; give the address where it serves')
  const error = errorIn(text) ?? {
    code: ErrorCode.refused,
    message: `The server answered ${response.status}: ${text.slice(0, LONGEST_TEXT)}`,
  }
  // 404 would tell the client that its session with us is gone.
  const status = response.status === 404 ? 502 : response.status
  return withStatus({ jsonrpc: '2.0', id, error }, { status, headers })
}

/** The messages of a JSON body: one, or a batch. Throws if it is neither. */
export async function messagesOf(response: Response): Promise<JsonRpcMessage[]> {
  const body = (await response.json()) as JsonRpcMessage | JsonRpcMessage[]
  return Array.isArray(body) ? body : [body]
}

export const typeOf = (response: Response) =>
  response.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase()

export const isEventStream = (response: Response): response is Response & { body: ReadableStream } =>
  response.ok && response.body !== null && typeOf(response) === 'text/event-stream'

/** An error without an id answers the one request there was. */
export const answers = (message: JsonRpcMessage, id: RequestId): message is JsonRpcResponse =>
  isResponse(message) &&
  (message.id === id ? 'result' in message || 'error' in message : 'error' in message && message.id == null)

function withStatus(response: JsonRpcError, answer: HttpAnswer): JsonRpcError {
  return Object.assign(response, { [HTTP_ANSWER]: answer })
}

function errorIn(text: string): JsonRpcError['error'] | undefined {
  try {
    const { error } = JSON.parse(text) as Partial<JsonRpcError>
    return typeof error?.code === 'number' && typeof error.message === 'string' ? error : undefined
  } catch {
    return undefined
  }
}
