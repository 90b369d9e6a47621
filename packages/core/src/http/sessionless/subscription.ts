import { isObject } from '../../json-rpc.js'
import type { JsonRpcNotification, JsonRpcRequest, RequestId } from '../../json-rpc.js'
import { notificationOf } from '../../session/changes.js'
import type { Change } from '../../session/changes.js'
import { MAX_STATE_CHARS } from '../../session/state.js'
import type { EntryId } from '../../store/store.js'
import { event, eventId } from '../events.js'
import { refuse } from '../replies.js'

const SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId'
/** Longer ones are not given out, and the stream can't be resumed. */
const MOST_ALIAS = 1024

const LISTS = {
  tools: 'toolsListChanged',
  prompts: 'promptsListChanged',
  resources: 'resourcesListChanged',
} as const
type List = keyof typeof LISTS
const ALL_LISTS = Object.keys(LISTS) as List[]

/** What a client listens to (2026-07-28, "Subscriptions"). */
export type Filter = {
  toolsListChanged?: true
  promptsListChanged?: true
  resourcesListChanged?: true
  resourceSubscriptions?: string[]
  taskIds?: string[]
  /** What only the server behind this one knows of. */
  [name: string]: unknown
}

/** What one `subscriptions/listen` is to hear. */
export class Subscription {
  readonly id: RequestId
  readonly filter: Filter
  /** The whole of it, so that any node can go on with it; `undefined`: too long for the ids of events. */
  readonly #alias: string | undefined

  /**
   * `asked`: from outside, so it may be anything. Throws a `Refusal` where it is too long: it is held as long as the
   * stream.
   */
  constructor(id: RequestId, asked: Record<string, unknown>) {
    const filter = filterOf(asked)
    const json = JSON.stringify([id, filter])
    if (json.length > MAX_STATE_CHARS) throw refuse.tooLarge(MAX_STATE_CHARS)
    const alias = Buffer.from(json).toString('base64url')
    this.id = id
    this.filter = filter
    this.#alias = alias.length > MOST_ALIAS ? undefined : alias
  }

  /** Of the id of an event; `undefined`: it is none of ours. */
  static decode(alias: string): Subscription | undefined {
    try {
      const [id, filter] = JSON.parse(Buffer.from(alias, 'base64url').toString()) as [unknown, unknown]
      const isId = typeof id === 'string' || typeof id === 'number'
      return isId && isObject(filter) ? new Subscription(id, filter) : undefined
    } catch {
      return undefined
    }
  }

  /** As a client asks for it. */
  get request(): JsonRpcRequest {
    const params = { notifications: this.filter }
    return { jsonrpc: '2.0', id: this.id, method: 'subscriptions/listen', params }
  }

  get acknowledgement(): JsonRpcNotification {
    return {
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: this.filter, _meta: { [SUBSCRIPTION_ID]: this.id } },
    }
  }

  /** Its events have ids, with which any node can go on. */
  get isResumable() {
    return this.#alias !== undefined
  }

  /** The response: it is over, and its client need not come back for the rest. */
  get end(): string {
    const result = { resultType: 'complete', _meta: { [SUBSCRIPTION_ID]: this.id } }
    return `data: ${JSON.stringify({ jsonrpc: '2.0', id: this.id, result })}\n\n`
  }

  /** Whose changes it hears is decided by who asks. */
  wants(change: Change, principal: string | undefined): boolean {
    if (change.of !== 'resource') return this.filter[LISTS[change.of]] === true
    if (change.principal !== undefined && change.principal !== principal) return false
    return this.filter.resourceSubscriptions?.includes(change.uri) === true
  }

  /** All that it listens to may have changed. */
  get anything(): readonly JsonRpcNotification[] {
    const { resourceSubscriptions: uris = [] } = this.filter
    const lists = ALL_LISTS.filter((of) => this.filter[LISTS[of]]).map((of): Change => ({ of }))
    const resources = uris.map((uri): Change => ({ of: 'resource', uri }))
    return [...lists, ...resources].map(notificationOf)
  }

  /** The same as its client gets it, of which the last one has the id; `undefined`: it listens to none of these. */
  anythingAt(entry: EntryId): string | undefined {
    const all = this.anything
    const events = all.map((message, i) => this.eventOf(message, i === all.length - 1 ? entry : undefined))
    return events.length > 0 ? events.join('') : undefined
  }

  /** As its client gets it. `at`: from where another node can go on; without it only the client's place before stands. */
  eventOf(message: JsonRpcNotification, at?: EntryId): string {
    const _meta = { ...message.params?._meta, [SUBSCRIPTION_ID]: this.id }
    const json = JSON.stringify({ ...message, params: { ...message.params, _meta } })
    const id = at && this.idAt(at)
    return id === undefined ? `data: ${json}\n\n` : event(id, json)
  }

  idAt(entry: EntryId): string | undefined {
    return this.#alias === undefined ? undefined : `${eventId('out', entry)}~${this.#alias}`
  }
}

/** A filter is looked at when something changes, where nobody could be told that it is none. */
function filterOf({ resourceSubscriptions: uris, taskIds, ...rest }: Record<string, unknown>): Filter {
  return {
    ...rest,
    ...(Array.isArray(uris) && { resourceSubscriptions: textsOf(uris) }),
    ...(Array.isArray(taskIds) && { taskIds: textsOf(taskIds) }),
  }
}

const textsOf = (list: readonly unknown[]) => [...new Set(list.filter((one) => typeof one === 'string'))]

/** Of what is asked for, what the server tells of at all. */
export function honoured(asked: Record<string, unknown>, capabilities: unknown): Filter {
  const offered = (isObject(capabilities) ? capabilities : {}) as Record<
    string,
    { listChanged?: boolean; subscribe?: boolean } | undefined
  >
  const filter: Filter = {}
  for (const of of ALL_LISTS)
    if (asked[LISTS[of]] === true && offered[of]?.listChanged) filter[LISTS[of]] = true
  const uris = asked['resourceSubscriptions']
  if (Array.isArray(uris) && offered['resources']?.subscribe) filter.resourceSubscriptions = uris as string[]
  return filter
}
