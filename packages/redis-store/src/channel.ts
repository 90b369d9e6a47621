import type { WatchListener } from '@mcp-durable/core'

/** One channel: who listens to it here, and whether the server knows. */
export class Channel {
  readonly name: string
  readonly #listeners = new Set<WatchListener>()
  readonly #waiting = new Set<() => void>()
  /** The server has confirmed a subscription of the present connection. */
  active = false
  /** A subscription was confirmed once; wake-ups may have been missed since. */
  wasActive = false
  syncing = false

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

  untilActive(): Promise<void> {
    if (this.active) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.add(resolve))
  }

  subscribed() {
    this.active = true
    if (this.wasActive) this.emit('resync', '')
    this.wasActive = true
    for (const resolve of this.#waiting) resolve()
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
