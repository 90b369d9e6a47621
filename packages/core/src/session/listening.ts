import type { Watch, Watcher } from '../store/watcher.js'
import type { Host } from './host.js'

/** Topic on which a cancellation reaches requests that are not journaled; its value begins their request keys. */
export const CANCELLED = 'cancelled'

/**
 * Hears for a server object what other nodes say of its session. It begins when somebody needs it. What only reads does
 * not: the store lets it in with its response or not at all, and if a cancellation is not heard, it ran in vain.
 */
export class Listening {
  /** Whose requests are cancelled, once it is there. */
  host: Host | undefined
  /** The session was deleted. */
  gone = false
  #ended = false
  #watch: Watch | undefined
  readonly #begin: () => Watch

  constructor(watcher: Watcher, sessionId: string, onDeleted: () => void) {
    this.#begin = () =>
      watcher.watch(sessionId, CANCELLED, ({ topic, value }) => {
        if (topic === CANCELLED) this.host?.cancelDeferred(value)
        if (topic !== 'deleted') return
        this.gone = true
        onDeleted()
      })
  }

  /** Resolves when it hears everything from now on; rejects if the store is away now. */
  begin(): Promise<void> {
    if (this.#ended) return Promise.resolve()
    return (this.#watch ??= this.#begin()).active
  }

  end() {
    this.#ended = true
    this.#watch?.end()
  }
}
