import { LazyAbort } from '../lazy-abort.js'
import { consoleLogger } from '../logger.js'
import type { Logger } from '../logger.js'
import { Members } from '../members.js'
import { whileStoreFails } from './retry.js'
import { compareIds } from './store.js'
import type { Appended, EntryId, Store, Unwatch } from './store.js'

/** What a watcher hears: a topic of the store, with the entries themselves when this node appended them or the store says them. */
export type Signal = { topic: string; value: string; appended?: Appended | undefined }
/** Topics that concern everything in a scope. */
const FOR_ALL = new Set(['deleted', 'resync'])

type Listener = (signal: Signal) => void
class Scope {
  readonly listeners = new Map<string, Members<Listener>>()
  active: Promise<void> = Promise.resolve()
  standing = false

  constructor(readonly end: () => void) {}
}

/** `active` resolves when the store's subscription stands: a read after that misses nothing; it rejects if the store is away now. `standing`: it does already. */
export class Watch {
  constructor(
    readonly active: Promise<void>,
    readonly standing: boolean,
    readonly end: () => void,
  ) {}
}

/** Shares one subscription of the store per scope among all who watch it on this node, and adds this node's own appends. */
export class Watcher {
  readonly #store: Store
  readonly #logger: Pick<Logger, 'error'>
  readonly #scopes = new Map<string, Scope>()

  constructor(store: Store, logger: Pick<Logger, 'error'> = consoleLogger) {
    this.#store = store
    this.#logger = logger
  }

  /** Listens from now on to one topic, and to what concerns all: `deleted` and `resync`. */
  watch(scope: string, topic: string, listener: Listener): Watch {
    const watched = this.#scopes.get(scope) ?? this.#begin(scope)
    const listeners = watched.listeners.get(topic) ?? new Members<Listener>()
    if (listeners.size === 0) watched.listeners.set(topic, listeners)
    const leave = listeners.add(listener)
    return new Watch(watched.active, watched.standing, () => {
      if (!leave() || listeners.size > 0) return
      if (watched.listeners.get(topic) === listeners) watched.listeners.delete(topic)
      if (watched.listeners.size > 0) return
      watched.end()
      if (this.#scopes.get(scope) === watched) this.#scopes.delete(scope)
    })
  }

  /** Tells this node's readers of an append that the store has acknowledged. */
  appended(scope: string, log: string, appended: Appended) {
    const last = appended.entries.at(-1)
    if (last) this.#emit(scope, { topic: log, value: last.id, appended })
  }

  /** Makes every reader of every scope look again: pub/sub may have dropped a wake-up. */
  reconcile() {
    for (const scope of this.#scopes.keys()) this.#emit(scope, { topic: 'resync', value: '' })
  }

  /** Nobody here listens any more; others may go on with the same store. */
  close() {
    for (const { end } of this.#scopes.values()) end()
    this.#scopes.clear()
  }

  #begin(scope: string): Scope {
    const ended = new LazyAbort()
    let late = false
    const subscribe = (): Promise<Unwatch> => {
      const unwatch = this.#store.watch(scope, (topic, value, appended) =>
        this.#emit(scope, { topic, value, appended }),
      )
      watched.active = stand(unwatch)
      watched.active.catch(() => {
        late = true
      })
      return unwatch
    }
    const stand = async (unwatch: Promise<Unwatch>) => {
      await unwatch
      watched.standing = true
    }
    const watched = new Scope(() => {
      ended.abort()
      subscription.then((unwatch) => unwatch()).catch(() => undefined)
    })
    this.#scopes.set(scope, watched)
    const subscription = whileStoreFails(subscribe, ended)
    const tellLate = () => {
      if (late) this.#emit(scope, { topic: 'resync', value: '' })
    }
    subscription.then(tellLate).catch(() => undefined)
    return watched
  }

  #emit(scope: string, signal: Signal) {
    const listeners = this.#scopes.get(scope)?.listeners
    if (!listeners) return
    const concerned = FOR_ALL.has(signal.topic) ? listeners.values() : [listeners.get(signal.topic) ?? []]
    for (const each of concerned) for (const listener of each) this.#tell(listener, signal)
  }

  /** What calls this is the connection of the store, which all readers of the process share. */
  #tell(listener: Listener, signal: Signal) {
    try {
      listener(signal)
    } catch (error) {
      this.#logger.error({ error, topic: signal.topic }, 'a reader of the store failed')
    }
  }
}

/** True when the signal says that `log` may hold entries after `cursor`. */
export function concerns(signal: Signal, log: string, cursor: EntryId): boolean {
  if (signal.topic === 'resync') return true
  return signal.topic === log && compareIds(signal.value, cursor) > 0
}
