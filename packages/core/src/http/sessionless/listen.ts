import type { JsonRpcRequest, RequestId } from '../../json-rpc.js'
import { CHANGES, notificationOf } from '../../session/changes.js'
import type { Change } from '../../session/changes.js'
import { MAX_STATE_CHARS } from '../../session/state.js'
import { BEGINNING, OLDEST } from '../../store/store.js'
import type { EntryId, Store } from '../../store/store.js'
import { event, eventId, primingEvent } from '../events.js'
import type { Cursor, encodeEvent } from '../events.js'
import { eventStreamResponse } from '../event-stream.js'
import type { Exchange } from '../exchange.js'
import { refuse } from '../replies.js'

const SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId'
const PAGE = 256
/** Longer ones are not given out, and the stream can't be resumed. */
const MOST_ALIAS = 1024

/** 2026-07-28, "Subscriptions". */
type Filter = {
  toolsListChanged?: true
  promptsListChanged?: true
  resourcesListChanged?: true
  resourceSubscriptions?: string[]
}
const LISTS = {
  tools: 'toolsListChanged',
  prompts: 'promptsListChanged',
  resources: 'resourcesListChanged',
} as const

/** `subscriptions/listen`: changes from now on, from whichever node. */
export async function listen(
  exchange: Exchange,
  request: JsonRpcRequest,
  initialized: Record<string, unknown>,
): Promise<Response> {
  const asked = request.params?.['notifications']
  if (typeof asked !== 'object' || asked === null) throw refuse.invalidParams('`notifications` is missing')
  const filter = honoured(asked as Record<string, unknown>, initialized['capabilities'])
  // It is held as long as the stream.
  if (JSON.stringify([request.id, filter]).length > MAX_STATE_CHARS) throw refuse.tooLarge(MAX_STATE_CHARS)
  const subscription = subscriptionOf(request.id, filter)
  const after = await newest(exchange.services.store)
  const acknowledged = {
    jsonrpc: '2.0',
    method: 'notifications/subscriptions/acknowledged',
    params: { notifications: filter, _meta: { [SUBSCRIPTION_ID]: request.id } },
  }
  const id = idFor(subscription, after)
  const json = JSON.stringify(acknowledged)
  const preamble = id === undefined ? `data: ${json}\n\n` : event(id, json)
  return show(exchange, subscription, after, { preamble, resumed: false })
}

/** GET with the id of an event: goes on with the subscription. */
export function listenOn(exchange: Exchange, { after, alias = '' }: Cursor): Response {
  const subscription = decode(alias)
  if (!subscription) throw refuse.badRequest('this Last-Event-ID is not one of ours')
  const preamble = primingEvent(idFor(subscription, after) ?? '', exchange.services.settings.retryMs)
  return show(exchange, subscription, after, { preamble, resumed: true })
}

type Subscription = {
  id: RequestId
  filter: Filter
  /** The whole of it, so that any node can go on with it; `undefined`: too long for the ids of events. */
  alias: string | undefined
}

function subscriptionOf(id: RequestId, filter: Filter): Subscription {
  const alias = Buffer.from(JSON.stringify([id, filter])).toString('base64url')
  return { id, filter, alias: alias.length > MOST_ALIAS ? undefined : alias }
}

function show(
  exchange: Exchange,
  subscription: Subscription,
  after: EntryId,
  { preamble, resumed }: { preamble: string; resumed: boolean },
): Response {
  const { services, outgoing, principal } = exchange
  services.streams.guardLimit(CHANGES)
  const encode: typeof encodeEvent = (_log, entry) => {
    const change = JSON.parse(entry.data) as Change
    if (!isWanted(change, subscription.filter, principal)) return { event: undefined, last: false }
    const message = notificationOf(change)
    const json = JSON.stringify({
      ...message,
      params: { ...message.params, _meta: { [SUBSCRIPTION_ID]: subscription.id } },
    })
    const id = idFor(subscription, entry.id)
    return { event: id === undefined ? `data: ${json}\n\n` : event(id, json), last: false }
  }
  const start = { scope: CHANGES, log: 'out', after, preamble, outgoing, encode, resumed } as const
  return eventStreamResponse(exchange, services.streams.open(start))
}

function isWanted(change: Change, filter: Filter, principal: string | undefined): boolean {
  if (change.of !== 'resource') return filter[LISTS[change.of]] === true
  if (change.principal !== undefined && change.principal !== principal) return false
  return filter.resourceSubscriptions?.includes(change.uri) === true
}

/** Of what is asked for, what the server tells of at all. */
function honoured(asked: Record<string, unknown>, capabilities: unknown): Filter {
  const offered = (capabilities ?? {}) as Record<
    string,
    { listChanged?: boolean; subscribe?: boolean } | undefined
  >
  const filter: Filter = {}
  for (const [list, name] of Object.entries(LISTS) as [
    keyof typeof LISTS,
    (typeof LISTS)[keyof typeof LISTS],
  ][])
    if (asked[name] === true && offered[list]?.listChanged) filter[name] = true
  const uris = asked['resourceSubscriptions']
  if (Array.isArray(uris) && offered['resources']?.subscribe)
    filter.resourceSubscriptions = uris.filter((uri) => typeof uri === 'string')
  return filter
}

/** What was said before is not said again. */
async function newest(store: Store): Promise<EntryId> {
  let after = BEGINNING
  for (;;) {
    const page = await store.read(CHANGES, 'out', after === BEGINNING ? OLDEST : after, PAGE)
    const last = page?.at(-1)
    if (!last) return after
    after = last.id
  }
}

/** Whose changes it hears is decided by who asks. */
const idFor = ({ alias }: Subscription, after: EntryId) =>
  alias === undefined ? undefined : `${eventId('out', after)}~${alias}`

function decode(alias: string): Subscription | undefined {
  try {
    const [id, filter] = JSON.parse(Buffer.from(alias, 'base64url').toString()) as [unknown, unknown]
    const isId = typeof id === 'string' || typeof id === 'number'
    return isId && typeof filter === 'object' && filter !== null ? subscriptionOf(id, filter) : undefined
  } catch {
    return undefined
  }
}
