import { recognising } from '../seal/sealed-store.js'
import { checkNames } from '../known-options.js'
import { consoleLogger, unfailing } from '../logger.js'
import type { Logger } from '../logger.js'
import { changeOf, CHANGES, Changes } from '../session/changes.js'
import type { Change } from '../session/changes.js'
import { whileStoreFails } from '../store/retry.js'
import { compareIds, OLDEST } from '../store/store.js'
import type { Entry, EntryId, Store } from '../store/store.js'
import { Tail } from '../store/tail.js'
import { Watcher } from '../store/watcher.js'

/** What has changed on a server: `ServerEvent` of `@modelcontextprotocol/server`. */
export type ServerChange = (
  | { kind: 'tools_list_changed' | 'prompts_list_changed' | 'resources_list_changed' }
  | { kind: 'resource_updated'; uri: string }
) & { params?: Record<string, unknown> | undefined }

/**
 * The SDK's `ServerEventBus` (`@modelcontextprotocol/server` 2.x), for all processes on a store. What its own description leaves
 * open:
 *
 * - An event is heard by the listeners of every process, those of the publisher too, once each, and in the same order in all.
 * - It is heard when the store has it, so after `publish` has returned. While the store is away it waits for 10 s at most, and is
 *   lost then, which the log says.
 * - A listener hears what is published after it was added. A process that was cut off from the store hears then what it has
 *   missed, as far as the newest 256 go.
 * - What `durable()` on the same store tells of with `mcp.changed` is heard too, unless it is for one principal.
 * - A listener that throws keeps nothing from the others; the log says what it threw.
 */
export interface StoredEventBus {
  publish(event: ServerChange): void
  /** Returns how to end it. */
  subscribe(listener: (event: ServerChange) => void): () => void
  /** Nobody hears anything any more. The store stays open. */
  close(): void
}

export type ServerEventBusOptions = {
  /** How long events are kept after the last one, in milliseconds, for processes that were cut off. Default: 24 hours. */
  ttlMs?: number
  /** Default: warnings and errors on standard error. */
  logger?: Logger
}

const DAY_MS = 24 * 60 * 60_000
/** Wake-ups may be lost. */
const RECONCILE_EVERY_MS = 5_000

/** `createMcpHandler(factory, { bus: serverEventBus(store) })`: `subscriptions/listen` hears what any process publishes. */
export function serverEventBus(store: Store, options: ServerEventBusOptions = {}): StoredEventBus {
  checkNames('serverEventBus()', options, ['ttlMs', 'logger'])
  return new Bus(recognising(store), options)
}

class Bus implements StoredEventBus {
  readonly #store: Store
  readonly #changes: Changes
  readonly #watcher: Watcher
  readonly #logger: Logger
  readonly #listeners = new Set<{ listener: (event: ServerChange) => void }>()
  readonly #timer: NodeJS.Timeout
  readonly #closed = new AbortController()
  #last: EntryId | undefined
  #hasLeftOut = false
  #tail: Tail | undefined

  constructor(store: Store, { ttlMs = DAY_MS, logger: given = consoleLogger }: ServerEventBusOptions) {
    const logger = unfailing(given)
    this.#store = store
    this.#changes = new Changes(store, ttlMs)
    this.#watcher = new Watcher(store, logger)
    this.#logger = logger
    this.#timer = setInterval(() => this.#watcher.reconcile(), RECONCILE_EVERY_MS).unref()
    // Asked for now: what is published from here on comes behind it.
    whileStoreFails(() => this.#changes.newest(), this.#closed).then(
      (newest) => this.#follow(newest),
      (error: unknown) => {
        if (!this.#closed.signal.aborted) logger.error({ error }, 'changes on other nodes are not heard')
      },
    )
  }

  publish(event: ServerChange) {
    this.#changes.publish(storedOf(event)).catch((error: unknown) => {
      this.#logger.error({ error, kind: event.kind }, 'a change was not told to those who listen')
    })
  }

  subscribe(listener: (event: ServerChange) => void): () => void {
    const member = { listener }
    this.#listeners.add(member)
    return () => void this.#listeners.delete(member)
  }

  close() {
    this.#closed.abort()
    clearInterval(this.#timer)
    this.#tail?.end()
    this.#watcher.close()
    this.#listeners.clear()
  }

  #follow(after: EntryId) {
    if (this.#closed.signal.aborted) return
    this.#last ??= after
    const tail = new Tail(
      this.#store,
      this.#watcher,
      { scope: CHANGES, log: 'out', after },
      {
        write: (entry) => this.#heard(entry),
        over: () => {
          // What was kept begins behind the last one that was heard here.
          tail.end()
          this.#follow(OLDEST)
        },
      },
    )
    this.#tail = tail
  }

  #heard(entry: Entry): true {
    if (compareIds(entry.id, this.#last ?? entry.id) <= 0) return true
    this.#last = entry.id
    const change = changeOf(entry)
    if (!change) this.#leftOut()
    const event = change && eventOf(change)
    if (event) for (const { listener } of this.#listeners) this.#tell(listener, event)
    return true
  }

  #leftOut() {
    if (!this.#hasLeftOut) this.#logger.warn({}, 'changes that can not be opened here are not told')
    this.#hasLeftOut = true
  }

  #tell(listener: (event: ServerChange) => void, event: ServerChange) {
    const failed = (error: unknown) =>
      this.#logger.error({ error, kind: event.kind }, 'a listener of the event bus failed')
    try {
      const told: unknown = listener(event)
      if (told instanceof Promise) told.catch(failed)
    } catch (error) {
      failed(error)
    }
  }
}

const KINDS = {
  tools: 'tools_list_changed',
  prompts: 'prompts_list_changed',
  resources: 'resources_list_changed',
} as const
const LISTS = {
  tools_list_changed: 'tools',
  prompts_list_changed: 'prompts',
  resources_list_changed: 'resources',
} as const

function storedOf(event: ServerChange): Change {
  const params = event.params && { params: event.params }
  return event.kind === 'resource_updated'
    ? { of: 'resource', uri: event.uri, ...params }
    : { of: LISTS[event.kind], ...params }
}

/** `undefined`: it is for one principal, and the bus tells everybody. */
function eventOf(change: Change): ServerChange | undefined {
  const params = change.params && { params: change.params }
  if (change.of !== 'resource') return { kind: KINDS[change.of], ...params }
  return change.principal === undefined ? { kind: 'resource_updated', uri: change.uri, ...params } : undefined
}
