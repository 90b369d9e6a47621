import { randomId } from '../../ids.js'
import type { JsonRpcNotification, JsonRpcRequest } from '../../json-rpc.js'
import { changeIn } from '../../session/changes.js'
import type { Heard } from '../../session/server-factory.js'
import { extraOf } from '../call-request.js'
import { eventStreamResponse } from '../event-stream.js'
import type { EventStream } from '../event-stream.js'
import type { Exchange } from '../exchange.js'
import { honoured, Subscription } from './subscription.js'

/** Of what the server says before the stream to its client is there. */
const MOST_EARLY = 100

type Show = (subscription: Subscription, onClosed: () => void) => EventStream

/**
 * What the server behind this one tells a client of changes goes to the same stream as what this one tells. It is in no log: a client
 * that comes back, or a server that does, is told that all it listens to may have changed.
 */
export async function listenBehind(
  exchange: Exchange,
  request: JsonRpcRequest,
  { resumed, show }: { resumed: boolean; show: Show },
): Promise<Response> {
  const { services, principal } = exchange
  const wanted = (request.params?.['notifications'] ?? {}) as Record<string, unknown>
  const subscriptionTo = (filter: Record<string, unknown>) => new Subscription(request.id, filter)
  const early: JsonRpcNotification[] = []
  const to: Heard = {
    tell: (message) => void (early.length < MOST_EARLY && early.push(message)),
    missed: () => undefined,
    refused: () => undefined,
  }
  const listened = await services.sessions.shared.listen(
    { request, scope: randomId(), principal },
    // Refused before the server is asked for each of them, if there are too many.
    (about) => subscriptionTo(honoured(wanted, about['capabilities'])).filter.resourceSubscriptions ?? [],
    extraOf(exchange),
    to,
  )
  try {
    const { about, acknowledged } = listened
    const subscription = subscriptionTo({ ...honoured(wanted, about['capabilities']), ...acknowledged })
    const stream = show(subscription, () => listened.end())
    to.tell = (message) => {
      const change = changeIn(message)
      // A server without sessions tells nothing that was not asked for.
      if (change ? subscription.wants(change, principal) : listened.acknowledged)
        stream.tell(subscription.eventOf(message))
    }
    to.missed = () => subscription.anything.forEach((message) => to.tell(message))
    to.refused = () => stream.close()
    if (resumed) to.missed()
    else early.forEach((message) => to.tell(message))
    return eventStreamResponse(exchange, stream)
  } catch (error) {
    listened.end()
    throw error
  }
}
