import type { RequestId } from '../../json-rpc.js'
import type { EntryId } from '../../store/store.js'
import { eventStreamResponse } from '../event-stream.js'
import type { Exchange } from '../exchange.js'
import type { CallPlace } from './place.js'
import type { Round } from './round.js'

type Shown = {
  place: CallPlace
  after: EntryId
  outgoing: Exchange['outgoing']
  /** Of the request that began the call. */
  requestId: RequestId
  resumed?: boolean
  caughtUp?: boolean
}

/** The stream of one request. */
export function showRound(exchange: Exchange, { requestId, place, ...shown }: Shown, round: Round): Response {
  const { services } = exchange
  const { scope, callId } = place
  const { caughtUp = false } = shown
  const { left, end } = services.departures.show(place, requestId, !caughtUp)
  const stream = services.streams.open({
    ...shown,
    scope,
    log: `call:${callId}`,
    preamble: round.preamble(services.settings.retryMs),
    encode: round.encode,
    onLeft: left,
    onClosed: () => {
      round.end()
      end()
    },
  })
  round.shownOn(stream)
  if (!caughtUp) services.calls.rescue(scope)
  return eventStreamResponse(exchange, stream)
}
