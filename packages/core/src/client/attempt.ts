import { linkedTo } from '../linked-signal.js'
import type { Linked } from '../linked-signal.js'
import { startTimer } from '../timers.js'
import { putBack, untilFirstEvent } from './first-event.js'
import type { Chunk, Held, Source } from './first-event.js'
import type { Outgoing } from './outgoing.js'
import { pause, readRetryAfter } from './patience.js'
import type { RetrySettings } from './retry-options.js'

/** `unsure`: the server may have carried the request out. `heldMs`: how long the response had been coming when it broke. */
export type Failure = { reason: unknown; unsure: boolean; heldMs: number; retryAfterMs: number }
export type Attempted<T> = { answer: T } | { failure: Failure }
/** Takes a response once it can be relied on, and unlinks the connection when it needs that no more. What it throws is a failure. */
export type Accept<T> = (response: Response, connection: Linked) => Promise<Attempted<T>>

/** A resumed stream of a server that does not begin with an event may stay silent for long. */
const FIRST_EVENT_WITHIN_MS = 5_000
/** Nobody there, or not us: RFC 9110, section 15.6. A 503 means that the request was not begun. */
const RETRIED = new Set([502, 503, 504])
/** The request never left this machine, or nobody took the connection. */
const NOT_SENT = new Set([
  'ECONNREFUSED',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
])

/** Sends once. Throws only what the caller's own signal says. */
export async function attempt<T>(
  url: string | URL,
  init: RequestInit,
  accept: Accept<T>,
  { fetch, headersWithinMs }: RetrySettings,
): Promise<Attempted<T>> {
  const connection = linkedTo(...(init.signal ? [init.signal] : []))
  const callOff = startTimer(headersWithinMs, () => connection.abort(lateError(headersWithinMs)))
  let heldSince: number | undefined
  try {
    const response = await fetch(url, { ...init, signal: connection.signal })
    callOff()
    heldSince = Date.now()
    return await accept(response, connection)
  } catch (error) {
    callOff()
    connection.unlink()
    init.signal?.throwIfAborted()
    // What was broken off here had come to a stop.
    const heldMs = heldSince === undefined || connection.signal.aborted ? 0 : Date.now() - heldSince
    return { failure: { reason: error, unsure: !neverSent(error), heldMs, retryAfterMs: 0 } }
  }
}

/** A response that has come to a stop: nothing of it for so long. `mayBreak`: asked then. */
export type Stall = { afterMs: number; mayBreak: () => boolean }

/** Takes a response for the caller: its first event has come, or all of it. If neither comes, its node may be frozen. */
export async function acceptFor(
  outgoing: Outgoing,
  response: Response,
  connection: Linked,
  stall: Stall,
): Promise<Attempted<Response>> {
  const isEvents = response.headers.get('content-type')?.includes('text/event-stream')
  const reader = response.body?.getReader() as ReadableStreamDefaultReader<Chunk> | undefined
  const watched = reader && { read: () => readWatched(reader, connection, stall) }
  if (response.ok && watched && isEvents) {
    const held = outgoing.kind === 'post' ? await untilFirstEvent(watched) : await heldBack(reader, outgoing)
    return { answer: withBody(response, putBack(reader, held, connection.unlink)) }
  }
  const body = watched ? await wholeOf(watched) : null
  connection.unlink()
  const whole = withBody(response, body)
  if (!RETRIED.has(response.status)) return { answer: whole }
  const unsure = response.status !== 503
  return { failure: { reason: whole, unsure, heldMs: 0, retryAfterMs: readRetryAfter(response) } }
}

async function readWatched(reader: Source, connection: Linked, { afterMs, mayBreak }: Stall) {
  const callOff = startTimer(afterMs, () => {
    try {
      if (mayBreak()) connection.abort(lateError(afterMs))
    } catch (error) {
      connection.abort(error)
    }
  })
  try {
    return await reader.read()
  } finally {
    callOff()
  }
}

async function wholeOf(reader: Source): Promise<ArrayBuffer> {
  const chunks: Chunk[] = []
  for (let read = await reader.read(); !read.done; read = await reader.read()) chunks.push(read.value)
  return new Blob(chunks).arrayBuffer()
}

async function heldBack(reader: Source, outgoing: Outgoing): Promise<Held> {
  // A standalone stream that breaks without an event has lost nothing, and may rightly be silent for ever.
  if (outgoing.kind !== 'get' || !outgoing.resumes) return { chunks: [], ended: false }
  const seen = new AbortController()
  try {
    return await untilFirstEvent(reader, pause(FIRST_EVENT_WITHIN_MS, [seen.signal]))
  } finally {
    seen.abort()
  }
}

export function withBody(response: Response, body: ReadableStream | ArrayBuffer | null): Response {
  // An opaque response of a browser has no status that could be given to another one.
  if (response.status < 200) return response
  const { status, statusText, headers, url } = response
  const copy = new Response(body, { status, statusText, headers })
  Object.defineProperty(copy, 'url', { value: url })
  return copy
}

const lateError = (ms: number) =>
  new DOMException(`Nothing came of the response within ${ms} ms.`, 'TimeoutError')

type SocketFailure = { code?: string; message?: string; errors?: { code?: string }[] }

/**
 * What `fetch` throws. Of Node.js it has the error of the socket as its cause, or several in an `AggregateError`; of Bun it is that
 * error; of Deno the cause has only words.
 */
function neverSent(error: unknown): boolean {
  const failure: SocketFailure = (error as { cause?: SocketFailure }).cause ?? (error as SocketFailure)
  if (failure.message?.includes('client error (Connect)')) return true
  const codes = failure.errors ? failure.errors.map(({ code }) => code) : [failure.code]
  return codes.length > 0 && codes.every((code) => code !== undefined && NOT_SENT.has(code))
}
