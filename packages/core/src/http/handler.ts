import { extraOf } from './call-request.js'
import { Exchange } from './exchange.js'
import { gather } from './event-stream.js'
import type { FetchOptions, HttpServices } from './exchange.js'
import { openStream } from './session/get.js'
import { resumeCall } from './sessionless/get.js'
import { guardCaller } from './guard-caller.js'
import { guardOrigin, guardProtocolVersion, sessionOf } from './guard.js'
import { post } from './post.js'
import { refusalFor, refuse } from './replies.js'

/** Streamable HTTP (specification 2025-11-25, "Transports"): one endpoint with POST, GET and DELETE. */
export async function handle(
  services: HttpServices,
  request: Request,
  options: FetchOptions,
): Promise<Response> {
  const exchange = new Exchange(services, request, options)
  try {
    guardOrigin(request, services.settings)
    const principal = services.identify(request, exchange.authInfo)
    exchange.principal = principal instanceof Promise ? await principal : principal
    // Without a wait where there is none: whoever else listens to the body of the request has set it flowing.
    const settling = services.eras.settle(exchange.protocolVersion)
    if (settling) await settling
    const guarding = guardCaller(exchange)
    if (guarding) await guarding
    const response = await route(exchange)
    gather(exchange.outgoing)
    return response
  } catch (error) {
    const refusal = refusalFor(error, services.logger)
    if (refusal.status === 429) services.limitLog.refused(refusal.message)
    return refusal.toResponse(exchange.requestId)
  }
}

function route(exchange: Exchange): Promise<Response> {
  const { services, request, protocolVersion } = exchange
  switch (request.method) {
    case 'POST':
      return post(exchange)
    case 'GET':
      return services.eras.isSessionless(protocolVersion) ? resumeCall(exchange) : openStream(exchange)
    case 'DELETE':
      if (services.eras.isSessionless(protocolVersion)) throw refuse.methodNotAllowed('POST')
      return endSession(exchange)
    default:
      throw refuse.methodNotAllowed()
  }
}

async function endSession(exchange: Exchange): Promise<Response> {
  const { services, principal } = exchange
  const sessionId = sessionOf(exchange)
  guardProtocolVersion(exchange)
  if (!(await services.sessions.delete({ sessionId, principal, extra: extraOf(exchange) })))
    throw refuse.sessionNotFound()
  return new Response(null, { status: 200 })
}
