import { attempt } from './attempt.js'
import type { Failure } from './attempt.js'
import { InFlight } from './in-flight.js'
import { describeOutgoing } from './outgoing.js'
import type { Outgoing } from './outgoing.js'
import { Patience, pause } from './patience.js'
import { retrySettings } from './retry-options.js'
import type { DurableFetchOptions, FetchLike, RetrySettings } from './retry-options.js'

/**
 * A `fetch` for the transports of the official clients, with which no instant of a node's death reaches the caller:
 * `new StreamableHTTPClientTransport(url, { fetch: durableFetch() })`. Only for servers that `durable()` serves.
 *
 * - A POST whose connection breaks before its answer, or that gets 502, 503 or 504, is sent again with the same body.
 *   An answer in JSON counts once all of it has come, a stream once its first event has: from there on the client holds an
 *   event id, and resumes by itself.
 * - A GET that fails is repeated until a node takes it. Official clients alone give up after two failures.
 * - Delays grow from attempt to attempt, obey `Retry-After`, and end with `giveUpAfterMs`: the last response or error
 *   is given to the caller then. The caller's `signal` ends all of it at once.
 * - What is no message of MCP, such as a token request of OAuth, is passed on and never repeated.
 *
 * Where it cannot be told whether a POST arrived (`mayRepeat` decides about these):
 *
 * - A `tools/call` that runs, or that ended within the server's `resumeWindowMs`, is joined and not run again: all attempts carry
 *   the same `Idempotency-Key`. A server that does not know that header joins only calls that still run. One that is not ours
 *   runs every attempt: not safe to repeat.
 * - Other requests are carried out again. They read, or set what they set before. A repeated `initialize` leaves a
 *   session behind that nobody uses; it expires.
 * - Notifications and answers to questions may arrive twice, which changes nothing.
 * - A request that was cancelled through this `fetch` (`notifications/cancelled`) is not sent again: it has ended.
 */
export function durableFetch(options: DurableFetchOptions = {}): FetchLike {
  const settings = retrySettings(options)
  const inFlight = new InFlight()
  return async (url, init = {}) => {
    const headers = new Headers(init.headers)
    const outgoing = describeOutgoing(init, headers)
    if (outgoing.kind === 'other') return settings.fetch(url, init)
    const isCall = outgoing.kind === 'post' && outgoing.requests.length > 0
    if (isCall && !headers.has('idempotency-key')) headers.set('idempotency-key', crypto.randomUUID())
    const { cancelled, leave } = inFlight.enter(outgoing, headers.get('mcp-session-id') ?? '')
    try {
      return await untilAnswered(url, { ...init, headers }, { outgoing, cancelled, settings })
    } finally {
      leave()
    }
  }
}

type Sending = { outgoing: Outgoing; cancelled: AbortSignal; settings: RetrySettings }

async function untilAnswered(url: string | URL, init: RequestInit, sending: Sending): Promise<Response> {
  const { outgoing, cancelled, settings } = sending
  const patience = new Patience(settings)
  let unsure = false
  for (;;) {
    const attempted = await attempt(url, init, outgoing, settings)
    if ('response' in attempted) return settled(attempted.response, outgoing, unsure)
    const { failure } = attempted
    unsure ||= failure.unsure
    const delayMs = mayGoOn(sending, unsure) ? patience.next(failure) : undefined
    if (delayMs === undefined) return giveUp(failure)
    settings.onRetry?.({
      method: init.method ?? 'GET',
      failed: patience.failed,
      delayMs,
      reason: failure.reason,
    })
    await pause(delayMs, [init.signal, cancelled])
    init.signal?.throwIfAborted()
    if (cancelled.aborted) return giveUp(failure)
  }
}

function mayGoOn({ outgoing, cancelled, settings }: Sending, unsure: boolean): boolean {
  if (cancelled.aborted) return false
  if (outgoing.kind !== 'post' || !unsure) return true
  return outgoing.requests.every((request) => settings.mayRepeat(request))
}

/** A session that an earlier attempt may have ended is not found any more, and that is what was wanted. */
function settled(response: Response, outgoing: Outgoing, unsure: boolean): Response {
  return outgoing.kind === 'delete' && unsure && response.status === 404 ? new Response(null) : response
}

function giveUp({ reason }: Failure): Response {
  if (reason instanceof Response) return reason
  throw reason
}
