import type { Unwatch, WatchListener } from '@mcp-durable/core/store'
import type { Wake } from './peer-messages.js'

/** Who watches which scope in this process. */
export class Listeners {
  readonly #byScope = new Map<string, Set<WatchListener>>()

  add(name: string | undefined, scope: string, listener: WatchListener): Unwatch {
    const key = keyOf(name, scope)
    const listeners = this.#byScope.get(key) ?? new Set()
    this.#byScope.set(key, listeners)
    // The same function may watch twice; each watch ends on its own.
    const watcher: WatchListener = (...news) => listener(...news)
    listeners.add(watcher)
    return () => {
      listeners.delete(watcher)
      if (listeners.size === 0 && this.#byScope.get(key) === listeners) this.#byScope.delete(key)
    }
  }

  has(name: string | undefined, scope: string) {
    return this.#byScope.has(keyOf(name, scope))
  }

  tell(wakes: readonly Wake[]) {
    for (const { name, scope, topic, value, appended } of wakes) {
      if (topic === 'resync') this.#tellAll(topic, value)
      for (const listener of this.#byScope.get(keyOf(name, scope)) ?? []) listener(topic, value, appended)
    }
  }

  #tellAll(topic: string, value: string) {
    for (const listeners of this.#byScope.values()) for (const listener of listeners) listener(topic, value)
  }
}

const keyOf = (name: string | undefined, scope: string) => JSON.stringify([name, scope])
