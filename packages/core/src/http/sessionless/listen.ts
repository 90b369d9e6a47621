import { isObject } from '../../json-rpc.js'
import { changeOf, CHANGES, notificationOf } from '../../session/changes.js'
import type { AskedAlone } from '../../session/shared-servers.js'
import type { EntryId } from '../../store/store.js'
import { extraOf } from '../call-request.js'
import { primingEvent } from '../events.js'
import type { Cursor, encodeEvent } from '../events.js'
import { eventStreamResponse } from '../event-stream.js'
import type { EventStream } from '../event-stream.js'
import type { Exchange } from '../exchange.js'
import { refuse } from '../replies.js'
import { listenBehind } from './listen-behind.js'
import { honoured, Subscription } from './subscription.js'
import { agreedTasks, TaskWatch } from './task-watch.js'

/** `subscriptions/listen`: changes from now on, from whichever node. */
export async function listen(exchange: Exchange, asked: AskedAlone): Promise<Response> {
  const { services } = exchange
  const wanted = asked.request.params?.['notifications']
  if (!isObject(wanted)) throw refuse.invalidParams('`notifications` is missing')
  services.streams.guardListener(listenerOf(exchange))
  const taskIds = await agreedTasks(exchange, asked.request, wanted['taskIds'])
  // What was said before is not said again.
  const after = await services.sessions.changes.newest()
  const show = showFrom(exchange, after, false)
  if (services.isProxy) return listenBehind(exchange, asked.request, { resumed: false, show })
  const { initialized = {} } = await services.sessions.shared.get(asked, extraOf(exchange))
  void services.sessions.shared.letGo(asked)
  const filter = { ...honoured(wanted, initialized['capabilities']), ...(taskIds && { taskIds }) }
  const subscription = new Subscription(asked.request.id, filter)
  return eventStreamResponse(exchange, show(subscription))
}

/** GET with the id of an event: goes on with the subscription. */
export async function listenOn(exchange: Exchange, { after, alias = '' }: Cursor): Promise<Response> {
  const { services } = exchange
  const subscription = Subscription.decode(alias)
  if (!subscription) throw refuse.badRequest('this Last-Event-ID is not one of ours')
  services.streams.guardListener(listenerOf(exchange))
  const show = showFrom(exchange, after, true)
  return services.isProxy
    ? listenBehind(exchange, subscription.request, { resumed: true, show })
    : eventStreamResponse(exchange, show(subscription))
}

/** Begins the stream of a subscription behind an entry of the changes that all nodes know of. */
function showFrom(exchange: Exchange, after: EntryId, resumed: boolean) {
  const { services, outgoing, principal } = exchange
  return (subscription: Subscription, onClosed: () => void = () => undefined): EventStream => {
    const encode: typeof encodeEvent = (_log, entry) => {
      const change = changeOf(entry)
      if (!change) return { event: subscription.anythingAt(entry.id), last: false }
      const event = subscription.wants(change, principal)
        ? subscription.eventOf(notificationOf(change), entry.id)
        : undefined
      return { event, last: false }
    }
    const preamble = resumed
      ? primingEvent(subscription.idAt(after) ?? '', services.settings.retryMs)
      : subscription.eventOf(subscription.acknowledgement, after)
    const tasks = new TaskWatch(exchange, (message) => stream.tell(subscription.eventOf(message)))
    const start = {
      scope: CHANGES,
      log: 'out',
      after,
      preamble,
      outgoing,
      encode,
      resumed,
      onClosed: () => {
        tasks.end()
        onClosed()
      },
      farewell: services.isLast || !subscription.isResumable ? subscription.end : undefined,
      listener: listenerOf(exchange),
    } as const
    const stream = services.streams.open(start)
    tasks.follow(subscription.filter.taskIds ?? [])
    return stream
  }
}

/** Where no caller is known, all are one. */
const listenerOf = ({ principal }: Exchange) => JSON.stringify(principal ?? null)
