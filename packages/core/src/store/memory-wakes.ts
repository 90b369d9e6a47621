import type { MembershipStore } from './membership.js'
import type { MemorySpace } from './memory-space.js'
import type { Store, WatchListener } from './store.js'

/** Who watches a scope of this process, and is woken. */
export class MemoryWakes implements Pick<Store, 'watch' | 'publish' | 'isWatched'> {
  readonly #space: MemorySpace

  constructor(space: MemorySpace) {
    this.#space = space
  }

  watch: Store['watch'] = async (scope, listener) => {
    const { watchers } = this.#space.data
    const listeners = watchers.get(scope) ?? new Set()
    watchers.set(scope, listeners)
    // The same function may watch twice; each watch ends on its own.
    const watcher: WatchListener = (topic, value) => listener(topic, value)
    listeners.add(watcher)
    return () => {
      listeners.delete(watcher)
      if (listeners.size === 0 && watchers.get(scope) === listeners) watchers.delete(scope)
    }
  }

  publish: Store['publish'] = async (scope, topic, value) => this.#space.wake(scope, topic, value)

  isWatched: MembershipStore['isWatched'] = async (scope) => this.#space.data.watchers.has(scope)
}
