import type { RequestId } from '../../json-rpc.js'
import { eventStreamResponse } from '../event-stream.js'
import type { Exchange } from '../exchange.js'
import { openOf } from './asked.js'
import type { AskedSoFar } from './asked.js'
import { Round } from './round.js'
import type { RoundStart } from './round.js'

/** `requestId`: of the request that began the call. `rescued`: it has been looked after that somebody runs it. */
type Shown = RoundStart & {
  requestId: RequestId
  resumed?: boolean | undefined
  caughtUp?: boolean
  isOwn?: boolean
  rescued?: boolean
}

/**
 * The stream of a request whose client was here before. `asked`: what there is of the call so far; `first`: what is done once it is
 * noted that the client is back.
 */
export async function showAgain(
  exchange: Exchange,
  asked: AskedSoFar,
  shown: Omit<Shown, 'open' | 'closed'>,
  first?: () => Promise<unknown>,
): Promise<Response> {
  const { services, request } = exchange
  const { place, requestId } = shown
  const show = async () => {
    services.streams.guardLimit(place.scope)
    await first?.()
    return showRound(exchange, { ...shown, open: openOf(asked, shown.after), closed: asked.closed })
  }
  return asked.end ? show() : services.departures.back(place, requestId, request, show)
}

/** The stream of one request. */
export function showRound(exchange: Exchange, shown: Shown): Response {
  const { services, outgoing, principal } = exchange
  const { place, after, requestId, resumed, caughtUp = false, isOwn = false, rescued = caughtUp } = shown
  const { scope, callId } = place
  const serverInfo = services.sessions.shared.serverInfoFor(principal)
  const stateAt = (entry: string) => services.requestStates.encode(place, entry, principal)
  const round = new Round(shown, { serverInfo, stateAt })
  const { left, end } = services.departures.show(place, requestId)
  const stream = services.streams.open({
    scope,
    log: `call:${callId}`,
    after,
    caughtUp,
    isOwn,
    outgoing,
    resumed,
    preamble: round.preamble(services.settings.retryMs),
    encode: round.encode,
    onLeft: left,
    onClosed: () => {
      round.end()
      end()
    },
  })
  round.shownOn(stream)
  if (!rescued) services.calls.rescue(scope)
  return eventStreamResponse(exchange, stream)
}
