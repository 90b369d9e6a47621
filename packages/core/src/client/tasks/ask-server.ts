import type { JsonRpcResponse } from '../../json-rpc.js'
import { ErrorCode, isObject } from '../../json-rpc.js'
import type { Linked } from '../../linked-signal.js'
import { META } from '../../protocol.js'
import { startTimer } from '../../timers.js'
import { withBody } from '../attempt.js'
import type { Attempted } from '../attempt.js'
import { readRetryAfter } from '../patience.js'
import type { RetrySettings } from '../retry-options.js'
import { untilAnswered } from '../until-answered.js'
import { readEvents } from './events.js'
import type { TaskCall } from './task-call.js'

/** `refusal`: the server wants other credentials, which only the client can get. */
export type Answer = { response: JsonRpcResponse } | { refusal: Response }

/** The server did not answer for `giveUpAfterMs`. */
export class NoAnswerError extends Error {}

/** Not the server's word on the task: this node has a fault, is leaving, or does not know of tasks yet. */
const PASSING_CODES = new Set<number>([ErrorCode.internalError, ErrorCode.methodNotFound])
const PASSING_STATUSES = new Set([408, 425, 429])

/**
 * Sends a request about a task until the server has answered it. All of them may be repeated: they read, or do what they did
 * before. Throws a `NoAnswerError`, or what the signal says.
 */
export async function askServer(
  { url, init, meta }: TaskCall,
  method: 'tasks/get' | 'tasks/update' | 'tasks/cancel',
  params: { taskId: string; inputResponses?: Record<string, unknown> },
  { settings, signal }: { settings: RetrySettings; signal: AbortSignal },
): Promise<Answer> {
  const request = { jsonrpc: '2.0', id: crypto.randomUUID(), method, params: { ...params, _meta: meta } }
  const headers = headersFor(new Headers(init.headers), meta, method, params.taskId)
  const asked = await untilAnswered({
    url,
    init: { ...init, method: 'POST', headers, body: JSON.stringify(request), signal },
    accept: (response, connection) => acceptAnswer(response, connection, settings),
    mayRepeat: () => true,
    settings,
  })
  if ('answer' in asked) return asked.answer
  const { reason } = asked.failure
  const last = reason instanceof Response ? `status ${reason.status}` : String(reason)
  throw new NoAnswerError(
    `The server could not be asked how the task is (${last}). The task goes on, if the server does.`,
  )
}

/** All of it has to come, in as long as headers may take. */
async function acceptAnswer(
  response: Response,
  connection: Linked,
  { headersWithinMs: ms }: RetrySettings,
): Promise<Attempted<Answer>> {
  const late = new DOMException(`There was no whole answer within ${ms} ms.`, 'TimeoutError')
  const callOff = startTimer(ms, () => connection.abort(late))
  try {
    const { status } = response
    if (status === 401 || status === 403)
      return { answer: { refusal: withBody(response, await response.arrayBuffer()) } }
    const answer = await readResponse(response)
    const isPassing = status >= 500 || PASSING_STATUSES.has(status)
    if (answer && !isPassing && !('error' in answer && PASSING_CODES.has(answer.error.code)))
      return { answer: { response: answer } }
    const reason = new Response(answer && JSON.stringify(answer), { status, headers: response.headers })
    return { failure: { reason, unsure: true, heldMs: 0, retryAfterMs: readRetryAfter(response) } }
  } finally {
    callOff()
    connection.unlink()
  }
}

/** As JSON, or as an event of a stream: the server chooses. `undefined`: it is no answer. */
async function readResponse(response: Response): Promise<JsonRpcResponse | undefined> {
  const isEvents = response.headers.get('content-type')?.includes('text/event-stream')
  if (!isEvents || !response.body) return parseResponse(await response.text())
  const reader = response.body.getReader()
  try {
    for await (const { data = '' } of readEvents(reader)) {
      const answer = parseResponse(data)
      if (answer) return answer
    }
    return undefined
  } finally {
    void reader.cancel().catch(() => undefined)
  }
}

/** A JSON-RPC response that clients can read, in a text; whatever else there is has none. */
export function parseResponse(text: string): JsonRpcResponse | undefined {
  try {
    const message: unknown = JSON.parse(text)
    if (!isObject(message) || 'method' in message) return undefined
    const isResponse = isObject(message['result']) || isErrorObject(message['error'])
    return isResponse ? (message as JsonRpcResponse) : undefined
  } catch {
    return undefined
  }
}

export const isErrorObject = (error: unknown): error is { code: number; message: string } =>
  isObject(error) && Number.isInteger(error['code']) && typeof error['message'] === 'string'

/** Those of the client, but for what they say of the call. */
function headersFor(headers: Headers, meta: Record<string, unknown>, method: string, taskId: string) {
  for (const name of Array.from(headers.keys()).filter(isOfTheCall)) headers.delete(name)
  headers.set('content-type', 'application/json')
  headers.set('accept', 'application/json, text/event-stream')
  headers.set('mcp-protocol-version', String(meta[META.protocolVersion]))
  headers.set('mcp-method', method)
  headers.set('mcp-name', encodeHeader(taskId))
  return headers
}

const isOfTheCall = (header: string) =>
  header.startsWith('mcp-param-') || ['idempotency-key', 'last-event-id', 'content-length'].includes(header)

/** 2026-07-28, "Streamable HTTP: Value Encoding": what is no plain ASCII goes as base64 of UTF-8. */
function encodeHeader(value: string): string {
  const isPlain = /^[\t -~]+$/.test(value) && value === value.trim() && !/^=\?base64\?.*\?=$/.test(value)
  if (isPlain) return value
  const bytes = Array.from(new TextEncoder().encode(value), (byte) => String.fromCharCode(byte))
  return `=?base64?${btoa(bytes.join(''))}?=`
}
