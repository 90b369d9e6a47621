import { parseEventId } from '../events.js'
import type { Exchange } from '../exchange.js'
import { settlePrincipal } from '../guard-caller.js'
import { guardAccept } from '../guard.js'
import { refuse } from '../replies.js'
import { isSessionless } from '../../protocol.js'
import { CHANGES } from '../../session/changes.js'
import { decodeAlias } from './alias.js'
import { listenOn } from './listen.js'
import { readAsked } from './asked.js'
import { showAgain } from './show-round.js'

/** What there is in this version in place of a stream that begins with a GET. */
const ANEW = 'Send the request again.'

/**
 * GET in the version without sessions: goes on with the stream of a call. The version does not know of it, and the official
 * clients do it as soon as a stream had an event with an id.
 */
export async function resumeCall(exchange: Exchange): Promise<Response> {
  const { services, request } = exchange
  const lastEventId = request.headers.get('last-event-id')
  if (lastEventId === null) throw refuse.methodNotAllowed('POST')
  guardAccept(request, 'text/event-stream')
  const cursor = parseEventId(lastEventId)
  if (!cursor) throw refuse.badRequest('this Last-Event-ID is not one of ours')
  await settlePrincipal(exchange)
  if (cursor.log === 'out') {
    if (!(await services.store.read(CHANGES, 'out', cursor.after, 1))) throw refuse.eventsGone(ANEW)
    return listenOn(exchange, cursor)
  }
  const { log, after } = cursor
  const callId = log.slice('call:'.length)
  const place = { scope: cursor.scope ?? callId, callId }
  const { scope } = place
  const session = await services.store.readSession(scope)
  // Whose it is nobody else learns, nor that it is there.
  if (!session || session.principal !== exchange.principal) throw refuse.callNotFound()
  // Whoever is in a session has its id, and goes on in it.
  if (!isSessionless(session.protocolVersion)) throw refuse.callNotFound()
  if (!(await services.store.read(scope, log, after, 1))) throw refuse.eventsGone(ANEW)
  if (cursor.end) return new Response(null, { status: 204 })
  const asked = await readAsked(services.store, place)
  const alias = cursor.alias === undefined ? undefined : decodeAlias(cursor.alias)
  const requestId = asked.first?.id ?? 0
  return showAgain(exchange, asked, {
    place,
    after,
    id: requestId,
    alias,
    requestId,
    task: asked.isOffered ? asked.task : undefined,
    resumed: true,
  })
}
