import { isTerminal, splitRecord } from '../call/record.js'
import { canPrime } from '../session/state.js'
import { BEGINNING, OLDEST } from '../store/store.js'
import type { Admission, Entry, Store } from '../store/store.js'
import { eventId, parseEventId, primingEvent } from './events.js'
import type { Cursor } from './events.js'
import { eventStreamResponse } from './event-stream.js'
import { guardAccept, guardProtocolVersion, sessionOf } from './guard.js'
import type { Exchange } from './exchange.js'
import { refuse } from './replies.js'

const PAGE = 64
const PAGE_BYTES = 1 << 20

/** GET: opens the standalone stream, or resumes any stream of the session from `Last-Event-ID`. */
export async function openStream(exchange: Exchange): Promise<Response> {
  const { services, request, principal, authInfo, outgoing } = exchange
  guardAccept(request, 'text/event-stream')
  const sessionId = sessionOf(request)
  guardProtocolVersion(request)
  const lastEventId = request.headers.get('last-event-id')
  const cursor = lastEventId ? parseEventId(lastEventId) : undefined
  if (lastEventId && !cursor) throw refuse.badRequest('this Last-Event-ID is not one of ours')
  const admission = await services.sessions.admit({ sessionId, principal, extra: { request, authInfo } })
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
  const { heard, end } = services.sessions.clientListens(sessionId, admission, { request, authInfo })
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

/** Throws if events after the cursor are not kept any more; answers whether there is nothing to wait for. */
async function isOver(store: Store, sessionId: string, { log, after, end }: Cursor): Promise<boolean> {
  // Only the standalone stream hands out its beginning; a call's stream begins with its request.
  const known = log === 'out' || after !== BEGINNING
  const entries = known ? await store.read(sessionId, log, after, PAGE, PAGE_BYTES) : undefined
  if (!entries) throw refuse.eventsGone()
  if (log === 'out') return false
  if (end) return true
  if (entries.length > 0) return nothingToShow(entries)
  const open = await store.listOpenCalls(sessionId)
  if (open.some(({ callId }) => log === `call:${callId}`)) return false
  // It has ended; perhaps just now.
  return nothingToShow((await store.read(sessionId, log, after, PAGE, PAGE_BYTES)) ?? [])
}

/** Nothing for the client follows, nor ever will. */
function nothingToShow(entries: readonly Entry[]) {
  const kinds = entries.map(({ data }) => splitRecord(data).kind)
  const shown = kinds.some((kind) => kind === 'message' || kind === 'response')
  return !shown && (kinds.length === 0 || kinds.some(isTerminal))
}

/** Every stream that can begins with an id: a client whose connection breaks before one has lost its place for good. */
function preambleFor({ log, after, end }: Cursor, { protocolVersion }: Admission, retryMs: number) {
  return canPrime(protocolVersion) && after !== OLDEST ? primingEvent(eventId(log, after, end), retryMs) : ''
}
