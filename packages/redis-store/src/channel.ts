import type { WatchListener } from '@mcp-durable/core/store'

type Waiting = { resolve: () => void; reject: (reason: Error) => void }

/** One channel: who listens to it here, and whether the server knows. */
export class Channel {
  readonly name: string
  readonly #listeners = new Set<WatchListener>()
  readonly #waiting = new Set<Waiting>()
  /** The server has confirmed a subscription of the present connection. */
  active = false
  /** A subscription was confirmed once; wake-ups may have been missed since. */
  wasActive = false
  syncing = false
  /** A subscription was asked for. */
  wasSent = false

  constructor(name: string) {
    this.name = name
  }

  get wanted() {
    return this.#listeners.size > 0
  }

  /** The same function may listen twice; each ends on its own. */
  add(listener: WatchListener): () => void {
    const own: WatchListener = (...news) => listener(...news)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  /** Rejects if the server refuses the subscription. */
  untilActive(): Promise<void> {
    if (this.active) return Promise.resolve()
    return new Promise((resolve, reject) => this.#waiting.add({ resolve, reject }))
  }

  subscribed() {
    this.active = true
    if (this.wasActive) this.emit('resync', '')
    this.wasActive = true
    for (const { resolve } of this.#waiting) resolve()
    this.#waiting.clear()
  }

  /** The server will not have it: who waits for it need not wait for a deadline to hear that. */
  refused(reason: Error) {
    for (const { reject } of this.#waiting) reject(reason)
    this.#waiting.clear()
  }

  unsubscribed() {
    this.active = false
    this.wasActive = false
  }

  emit(...news: Parameters<WatchListener>) {
    for (const listener of this.#listeners) {
      // In a turn of its own: what a listener throws must not reach the parser of the connection.
      queueMicrotask(() => {
        if (this.#listeners.has(listener)) listener(...news)
      })
    }
  }
}
