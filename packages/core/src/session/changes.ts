import { randomId } from '../ids.js'
import type { JsonRpcMessage, JsonRpcNotification } from '../json-rpc.js'
import { whileStoreFails, within } from '../store/retry.js'
import { BEGINNING, OLDEST } from '../store/store.js'
import type { Entry, EntryId, Store } from '../store/store.js'

/** What clients may want to hear of outside of calls. */
export type Change = (
  { of: 'tools' | 'prompts' | 'resources' } | { of: 'resource'; uri: string; principal?: string }
) & {
  /** More of the notification. */
  params?: Record<string, unknown>
}

/** Each resolves when it is stored, and rejects with a `StoreError` if the store is away for 10 s. */
export interface Changed {
  tools(): Promise<void>
  prompts(): Promise<void>
  resources(): Promise<void>
  /** The content of a resource; with a `principal`, only that one's streams are told. */
  resource(uri: string, options?: { principal?: string }): Promise<void>
}

/** The scope of all changes; no id of a session or call is like it. */
export const CHANGES = 'changes'

/** Clients that come back go on from where they were, if no more has changed since. */
const MOST_KEPT = 256
const MOST_BYTES = 1 << 20
const SEND_WITHIN_MS = 10_000

const METHODS = {
  tools: 'notifications/tools/list_changed',
  prompts: 'notifications/prompts/list_changed',
  resources: 'notifications/resources/list_changed',
  resource: 'notifications/resources/updated',
} as const

/** Changes of what a server offers, told to clients without sessions, on whichever node they listen. */
export class Changes {
  readonly #store: Store
  readonly #ttlMs: number

  constructor(store: Store, ttlMs: number) {
    this.#store = store
    this.#ttlMs = ttlMs
  }

  readonly changed: Changed = {
    tools: () => this.publish({ of: 'tools' }),
    prompts: () => this.publish({ of: 'prompts' }),
    resources: () => this.publish({ of: 'resources' }),
    resource: (uri, options) => this.publish({ of: 'resource', uri, ...options }),
  }

  /** Resolves when it is stored. Rejects with a `StoreError` if the store is away for 10 s. */
  async publish(change: Change): Promise<void> {
    const options = {
      nonce: randomId(),
      maxLength: MOST_KEPT,
      maxBytes: MOST_BYTES,
      begins: { ttlMs: this.#ttlMs },
    }
    const data = JSON.stringify(change)
    await whileStoreFails(() => this.#store.append(CHANGES, 'out', data, options), within(SEND_WITHIN_MS))
  }

  /** The last of them, for who wants to hear of later ones only. */
  async newest(): Promise<EntryId> {
    let after = BEGINNING
    for (;;) {
      const page = await this.#store.read(CHANGES, 'out', after === BEGINNING ? OLDEST : after, MOST_KEPT)
      const last = page?.at(-1)
      if (!last) return after
      after = last.id
    }
  }
}

/** What an entry tells of; `undefined`: it can't be opened, so it may be any change. A store that seals gives it without data. */
export const changeOf = ({ data }: Entry): Change | undefined =>
  data === '' ? undefined : (JSON.parse(data) as Change)

/** What a server object tells of by itself; `undefined`: that is no change. */
export function changeIn(message: JsonRpcMessage): Change | undefined {
  if (!('method' in message)) return undefined
  const { method, params } = message
  if (method === METHODS.resource)
    return typeof params?.['uri'] === 'string' ? { of: 'resource', uri: params['uri'] } : undefined
  const list = (['tools', 'prompts', 'resources'] as const).find((one) => METHODS[one] === method)
  return list && { of: list }
}

export function notificationOf(change: Change): JsonRpcNotification {
  const params = { ...change.params, ...(change.of === 'resource' && { uri: change.uri }) }
  return { jsonrpc: '2.0', method: METHODS[change.of], params }
}
