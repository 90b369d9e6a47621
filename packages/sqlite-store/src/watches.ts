import type { Store, Unwatch } from '@mcp-durable/core/store'
import type { Space } from './space.js'

/** Who watches a scope, and is woken. */
export class Watches implements Pick<Store, 'watch' | 'publish' | 'isWatched'> {
  readonly #space: Space
  readonly #own = new Set<Unwatch>()

  constructor(space: Space) {
    this.#space = space
  }

  watch: Store['watch'] = async (scope, listener) => {
    const { engine, given } = this.#space
    const end = engine.listen(given, scope, listener)
    const unwatch = () => {
      this.#own.delete(unwatch)
      end()
    }
    this.#own.add(unwatch)
    await engine.hears()
    return unwatch
  }

  /** Written nowhere. */
  publish: Store['publish'] = (scope, topic, value) =>
    this.#space.read(() => this.#space.wake(scope, topic, value))

  isWatched: Store['isWatched'] = (scope) => this.#space.engine.isWatched(this.#space.given, scope)

  end() {
    for (const unwatch of this.#own) unwatch()
  }
}
