import type { Unwatch, WatchListener } from '@mcp-durable/core/store'
import { isNodeChannel } from './node-channels.js'
import type { Wake } from './peer-messages.js'

/** Who watches which scope in this process. */
export class Listeners {
  readonly #byScope = new Map<string, Set<WatchListener>>()
  readonly #nodeChannels = new Set<string>()
  readonly #onNodeChannels: () => void

  /** `onNodeChannels`: other channels of nodes are watched than before. */
  constructor(onNodeChannels: () => void) {
    this.#onNodeChannels = onNodeChannels
  }

  add(name: string | undefined, scope: string, listener: WatchListener): Unwatch {
    const key = keyOf(name, scope)
    const listeners = this.#byScope.get(key) ?? new Set()
    this.#byScope.set(key, listeners)
    // The same function may watch twice; each watch ends on its own.
    const watcher: WatchListener = (...news) => listener(...news)
    listeners.add(watcher)
    if (isNodeChannel(scope)) this.#noteNodeChannel(key)
    return () => {
      listeners.delete(watcher)
      if (listeners.size === 0 && this.#byScope.get(key) === listeners) this.#byScope.delete(key)
      if (isNodeChannel(scope)) this.#noteNodeChannel(key)
    }
  }

  has(name: string | undefined, scope: string) {
    return this.#byScope.has(keyOf(name, scope))
  }

  /** Channels of nodes that are watched: their keys. */
  get nodeChannels(): string[] {
    return [...this.#nodeChannels]
  }

  tell(wakes: readonly Wake[]) {
    for (const { name, scope, topic, value, appended } of wakes) {
      if (topic === 'resync') this.#tellAll(topic, value)
      for (const listener of this.#byScope.get(keyOf(name, scope)) ?? []) listener(topic, value, appended)
    }
  }

  #noteNodeChannel(key: string) {
    const isWatched = this.#byScope.has(key)
    if (isWatched === this.#nodeChannels.has(key)) return
    if (isWatched) this.#nodeChannels.add(key)
    else this.#nodeChannels.delete(key)
    this.#onNodeChannels()
  }

  #tellAll(topic: string, value: string) {
    for (const listeners of this.#byScope.values()) for (const listener of listeners) listener(topic, value)
  }
}

export const keyOf = (name: string | undefined, scope: string) => JSON.stringify([name, scope])
