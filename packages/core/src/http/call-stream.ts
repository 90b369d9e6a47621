import { canPrime } from '../protocol.js'
import { BEGINNING } from '../store/store.js'
import type { Admission, EntryId } from '../store/store.js'
import { eventStreamResponse } from './event-stream.js'
import { eventId, primingEvent } from './events.js'
import type { Exchange } from './exchange.js'
import { refuse } from './replies.js'

/** The same request again, while it still runs: its stream from the beginning. */
export async function attach(
  exchange: Exchange,
  sessionId: string,
  callId: string,
  admission: Admission,
): Promise<Response> {
  const [first] = (await exchange.services.store.read(sessionId, `call:${callId}`, BEGINNING, 1)) ?? []
  exchange.services.streams.guardLimit(sessionId)
  if (!first) throw refuse.unavailable('the call has just ended. Send it again.')
  exchange.services.calls.rescue(sessionId)
  return streamCall(exchange, { scope: sessionId, id: callId }, { after: first.id }, admission)
}

/** The answer to a request that became a call: its stream, primed for clients that can resume it. */
export function streamCall(
  exchange: Exchange,
  { scope, id }: { scope: string; id: string },
  from: { after: EntryId; caughtUp?: boolean; isOwn?: boolean },
  { protocolVersion }: Admission,
): Response {
  const { services, outgoing } = exchange
  const log = `call:${id}` as const
  const preamble = canPrime(protocolVersion)
    ? primingEvent(eventId(log, from.after), services.settings.retryMs)
    : ''
  const { after, caughtUp, isOwn } = from
  const stream = services.streams.open({ scope, log, after, caughtUp, isOwn, preamble, outgoing })
  return eventStreamResponse(exchange, stream)
}
