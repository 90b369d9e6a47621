import { acceptFor } from './attempt.js'
import { InFlight } from './in-flight.js'
import { describeOutgoing } from './outgoing.js'
import type { Outgoing } from './outgoing.js'
import { retrySettings } from './retry-options.js'
import type { DurableFetchOptions, FetchLike, RetrySettings } from './retry-options.js'
import { withTasks } from './tasks/with-tasks.js'
import { untilAnswered } from './until-answered.js'

/**
 * A `fetch` for the transports of the official clients, with which no instant of a node's death reaches the caller:
 * `new StreamableHTTPClientTransport(url, { fetch: durableFetch() })`. Only for servers that `durable()` serves, or with
 * a `mayRepeat` that keeps it from repeating calls.
 *
 * - A POST whose connection breaks before its answer, or that gets 502, 503 or 504, is sent again with the same body.
 *   An answer in JSON counts once all of it has come, a stream once its first event has: from there on the client holds an
 *   event id, and resumes by itself.
 * - A GET that fails is repeated until a node takes it. Official clients alone give up after two failures.
 * - Delays grow from attempt to attempt, obey `Retry-After`, and end with `giveUpAfterMs`: the last response or error
 *   is given to the caller then. The caller's `signal` ends all of it at once.
 * - With `tasks`, a call that a server makes a task has its result, whosever server it is.
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
  const send = sendDurably(settings)
  return settings.tasks ? withTasks(send, settings) : send
}

function sendDurably(settings: RetrySettings): FetchLike {
  const inFlight = new InFlight()
  return async (url, init = {}) => {
    const headers = new Headers(init.headers)
    const outgoing = describeOutgoing(init, headers)
    if (outgoing.kind === 'other') return settings.fetch(url, init)
    const isCall = outgoing.kind === 'post' && outgoing.requests.length > 0
    if (isCall && !headers.has('idempotency-key')) headers.set('idempotency-key', crypto.randomUUID())
    const stall = {
      afterMs: settings.headersWithinMs,
      mayBreak: () => mayRepeat(outgoing, true, settings),
    }
    const { cancelled, leave } = inFlight.enter(outgoing, headers.get('mcp-session-id') ?? '')
    try {
      const attempted = await untilAnswered({
        url,
        init: { ...init, headers },
        accept: (response, connection) => acceptFor(outgoing, response, connection, stall),
        mayRepeat: (unsure) => mayRepeat(outgoing, unsure, settings),
        cancelled,
        settings,
      })
      if ('answer' in attempted) return settled(attempted.answer, outgoing, attempted.unsure)
      const { reason } = attempted.failure
      if (reason instanceof Response) return reason
      throw reason
    } finally {
      leave()
    }
  }
}

function mayRepeat(outgoing: Outgoing, unsure: boolean, settings: RetrySettings): boolean {
  if (outgoing.kind !== 'post' || !unsure) return true
  return outgoing.requests.every((request) => settings.mayRepeat(request))
}

/** A session that an earlier attempt may have ended is not found any more, and that is what was wanted. */
function settled(response: Response, outgoing: Outgoing, unsure: boolean): Response {
  return outgoing.kind === 'delete' && unsure && response.status === 404 ? new Response(null) : response
}
