import { isRequest } from '../json-rpc.js'
import { IN_SESSIONS, SESSIONLESS } from '../protocol.js'
import { endOfTurn } from '../turn.js'
import { readBody } from './body.js'
import type { Exchange } from './exchange.js'
import { guardAccept, guardContentType } from './guard.js'
import { refuse } from './replies.js'
import { postInSession } from './session/post.js'
import { isSessionlessPost } from './sessionless/claim.js'
import { postAlone } from './sessionless/post.js'

/** POST: what the body says decides of which version it is. */
export async function post(exchange: Exchange): Promise<Response> {
  const { request, services } = exchange
  guardAccept(request, 'application/json', 'text/event-stream')
  guardContentType(request, exchange.parsedBody !== undefined)
  const body = await readBody(request, services.settings.maxBodyBytes, exchange.parsedBody)
  if (services.isBusy()) await endOfTurn()
  const requests = body.messages.filter(isRequest)
  exchange.requestId = requests.length === 1 ? (requests[0]?.id ?? null) : null
  const eras = services.eras.now
  if (eras.has(SESSIONLESS) && isSessionlessPost(exchange, body))
    return postAlone(exchange, body.messages[0]!)
  if (!eras.has(IN_SESSIONS)) throw refuse.unsupportedVersion(exchange.protocolVersion, eras)
  return postInSession(exchange, body)
}
