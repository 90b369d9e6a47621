import type { RequestId } from '../../json-rpc.js'
import type { EntryId } from '../../store/store.js'
import { eventStreamResponse } from '../event-stream.js'
import type { Exchange } from '../exchange.js'
import type { Round } from './round.js'

type Shown = {
  scope: string
  log: `call:${string}`
  after: EntryId
  outgoing: Exchange['outgoing']
  /** Of the request that began the call. */
  requestId: RequestId
  resumed?: boolean
  caughtUp?: boolean
}

/** The stream of one request. */
export function showRound(exchange: Exchange, { requestId, ...shown }: Shown, round: Round): Response {
  const { services } = exchange
  const { scope, caughtUp = false } = shown
  const { left, end } = services.departures.show(scope, requestId, !caughtUp)
  const stream = services.streams.open({
    ...shown,
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
