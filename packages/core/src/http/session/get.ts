import { OLDEST } from '../../store/store.js'
import type { Admission, Store } from '../../store/store.js'
import { extraOf } from '../call-request.js'
import { parseEventId } from '../events.js'
import type { Cursor } from '../events.js'
import { eventStreamResponse } from '../event-stream.js'
import { guardAccept, guardProtocolVersion, sessionOf } from '../guard.js'
import type { Exchange } from '../exchange.js'
import { refuse } from '../replies.js'
import { isOver, preambleFor } from '../resume.js'

/** GET: opens the standalone stream, or resumes any stream of the session from `Last-Event-ID`. */
export async function openStream(exchange: Exchange): Promise<Response> {
  const { services, request, principal, outgoing } = exchange
  guardAccept(request, 'text/event-stream')
  const sessionId = sessionOf(exchange)
  guardProtocolVersion(exchange)
  const lastEventId = request.headers.get('last-event-id')
  const cursor = lastEventId ? parseEventId(lastEventId) : undefined
  if (lastEventId && !cursor) throw refuse.badRequest('this Last-Event-ID is not one of ours')
  const extra = extraOf(exchange)
  const admission = await services.sessions.admit({ sessionId, principal, extra })
  if (!admission) throw refuse.sessionNotFound()
  const from = cursor ?? (await standaloneCursor(services.store, sessionId, admission))
  if (cursor && (await isOver(services.store, sessionId, cursor))) return new Response(null, { status: 204 })
  services.streams.guardLimit(sessionId)
  const start = {
    scope: sessionId,
    log: from.log,
    after: from.after,
    preamble: preambleFor(from, admission, services.settings.retryMs),
    outgoing,
    resumed: cursor !== undefined,
  }
  if (from.log !== 'out') {
    services.calls.rescue(sessionId)
    return eventStreamResponse(exchange, services.streams.open(start))
  }
  const { heard, end } = services.sessions.clientListens(sessionId, admission, extra)
  const standalone = await services.streams.openStandalone({ ...start, onClosed: end })
  await heard
  return eventStreamResponse(exchange, standalone)
}

/**
 * A client that comes without a cursor gets what no client was sent yet. If some of that was trimmed,
 * nobody was there to miss it, and the oldest kept message comes first.
 */
async function standaloneCursor(store: Store, sessionId: string, { delivered }: Admission): Promise<Cursor> {
  const held = await store.read(sessionId, 'out', delivered, 1)
  return { log: 'out', after: held ? delivered : OLDEST, end: false }
}
