import type { Store } from '@mcp-durable/core'

/** Wake-ups of many sessions at once: of as many as may be watched, the first ones named. */
export class Watches {
  readonly #store: Store
  readonly #most: number
  readonly #heard: (scope: string, topic: string, value: string) => void
  readonly #watched = new Map<string, Promise<() => void>>()

  constructor(store: Store, most: number, heard: (scope: string, topic: string, value: string) => void) {
    this.#store = store
    this.#most = most
    this.#heard = heard
  }

  /** Watches these, and no others any more. What can't be watched now is tried again the next time. */
  set(scopes: readonly string[]) {
    const wanted = new Set(scopes.slice(0, this.#most))
    for (const [scope, watching] of this.#watched) {
      if (wanted.has(scope)) continue
      this.#watched.delete(scope)
      watching.then(
        (unwatch) => unwatch(),
        () => undefined,
      )
    }
    for (const scope of wanted) if (!this.#watched.has(scope)) this.#watch(scope)
  }

  #watch(scope: string) {
    const watching = this.#store.watch(scope, (topic, value) => this.#heard(scope, topic, value))
    this.#watched.set(scope, watching)
    watching.catch(() => {
      if (this.#watched.get(scope) === watching) this.#watched.delete(scope)
    })
  }
}
