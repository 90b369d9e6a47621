import { MAX_DEPTH, nestsDeeper } from '../json-depth.js'
import { isMessage } from '../json-rpc-shapes.js'
import { isResponse } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcResponse, RequestId } from '../json-rpc.js'

/**
 * What a server behind this one has answered. Nothing of it is known to be right, so it is no `Response`: that has no
 * place for every status and header, and throws.
 */
export interface Answer {
  readonly status: number
  /** A header, by its name in lower case. */
  header(name: string): string | undefined
  /** Read once. Throws what breaks it, and when it was cancelled. */
  readonly body: AsyncIterable<Uint8Array>
  /** The rest of the body is of no use. */
  cancel(): void
}

/** The server has answered with what can't be used. The message goes on after "The server behind this one". */
export class BadAnswerError extends Error {}

/** A body that is of no use is read this far, and for this long, so that its connection is there for the next request. */
const MOST_OF_THE_REST = 64 * 1024
const REST_WITHIN_MS = 5_000
/** Refusals that may pass: another stream is open still, or the server is overloaded, starting or restarting. */
const TRANSIENT = new Set([409, 425, 429, 500, 502, 503, 504])

export const isOk = ({ status }: Answer) => status >= 200 && status < 300

export const mayPass = ({ status }: Answer) => TRANSIENT.has(status)

export const typeOf = (answer: Answer) =>
  answer.header('content-type')?.split(';', 1)[0]?.trim().toLowerCase()

export const isEventStream = (answer: Answer) => isOk(answer) && typeOf(answer) === 'text/event-stream'

/** Throws a `BadAnswerError` for a status that HTTP does not have, and for an encoding that was not asked for. */
export function checkAnswer(answer: Answer): Answer {
  const fault = faultOf(answer)
  if (fault === undefined) return answer
  answer.cancel()
  throw new BadAnswerError(fault)
}

function faultOf(answer: Answer) {
  const { status } = answer
  if (!Number.isInteger(status) || status < 200 || status > 599)
    return `answered with status ${status}, which HTTP does not have`
  const encoding = answer.header('content-encoding')?.toLowerCase() || 'identity'
  return encoding === 'identity' ? undefined : 'compressed its answer, which was not asked for'
}

/** A message of the server is larger than the setting allows. */
export const tooLarge = (maxBytes: number) =>
  new BadAnswerError(`sent a message of more than ${maxBytes} bytes (maxAnswerBytes)`)

/** `maxBytes`: the largest message. `onStrange`: told of what is JSON and no message of JSON-RPC, which is left out. */
export type Intake = { maxBytes: number; onStrange: (candidate: unknown) => void }

export const noMessage = () => new BadAnswerError('sent what is JSON and no message of JSON-RPC 2.0')

export const noAnswer = () => new BadAnswerError('gave no answer to the request')

/** The messages of a JSON body: one, or a batch. Throws a `BadAnswerError` for one that is too large or no JSON. */
export async function messagesOf(answer: Answer, intake: Intake): Promise<JsonRpcMessage[]> {
  if (typeOf(answer) !== 'application/json') {
    void drain(answer)
    throw new BadAnswerError('gave no JSON-RPC answer')
  }
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of answer.body) {
    size += chunk.byteLength
    if (size > intake.maxBytes) throw tooLarge(intake.maxBytes)
    chunks.push(chunk)
  }
  return parseMessages(new TextDecoder().decode(Buffer.concat(chunks)), intake)
}

/** The messages of a JSON text. Throws a `BadAnswerError` if it is none, or nested too deep to be handled. */
export function parseMessages(json: string, { onStrange }: Pick<Intake, 'onStrange'>): JsonRpcMessage[] {
  if (nestsDeeper(MAX_DEPTH, json))
    throw new BadAnswerError(`sent a message that is nested deeper than ${MAX_DEPTH} levels`)
  const parsed = parse(json)
  return (Array.isArray(parsed) ? parsed : [parsed]).filter((candidate): candidate is JsonRpcMessage => {
    if (isMessage(candidate)) return true
    onStrange(candidate)
    return false
  })
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    throw new BadAnswerError('sent a message that is not JSON')
  }
}

/** An error without an id answers the one request there was. */
export const answers = (message: JsonRpcMessage, id: RequestId): message is JsonRpcResponse =>
  isResponse(message) && (message.id === id || (message.id == null && 'error' in message))

/** Whether what is no message was meant to answer a request. */
export const meansToAnswer = (candidate: unknown, id: RequestId) =>
  typeof candidate === 'object' &&
  candidate !== null &&
  !('method' in candidate) &&
  'id' in candidate &&
  candidate.id === id

/** The beginning of a body whose rest is of no use. Never rejects. */
export async function beginningOf(answer: Answer): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  const timer = setTimeout(() => answer.cancel(), REST_WITHIN_MS)
  try {
    for await (const chunk of answer.body) {
      chunks.push(chunk)
      size += chunk.byteLength
      if (size > MOST_OF_THE_REST) break
    }
  } catch {
    // Broken off, which is an end as well.
  } finally {
    clearTimeout(timer)
  }
  return new TextDecoder().decode(Buffer.concat(chunks))
}

/** A body that is read to its end leaves its connection for the next request; a stream may have no end. */
export async function drain(answer: Answer) {
  if (typeOf(answer) === 'text/event-stream') answer.cancel()
  else await beginningOf(answer)
}
