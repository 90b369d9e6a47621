import { setMaxListeners } from 'node:events'
import { StoreError } from '../errors.js'
import type { Logger } from '../logger.js'
import type { Store, WatchListener } from '../store/store.js'
import { sleepFor } from '../timers.js'

/** What a node does on its own until it leaves. None of it keeps the process alive. */
export class Background {
  readonly #logger: Logger
  readonly #left = new AbortController()
  readonly #unwatch: Array<() => void> = []
  #toldRefused = false

  constructor(logger: Logger) {
    this.#logger = logger
    // Each call that waits for another node waits for the end as well.
    setMaxListeners(0, this.#left.signal)
  }

  get signal(): AbortSignal {
    return this.#left.signal
  }

  get isOver(): boolean {
    return this.#left.signal.aborted
  }

  end() {
    this.#left.abort()
    for (const unwatch of this.#unwatch.splice(0)) unwatch()
  }

  /** Resolves after so long, or when this node leaves. */
  pause(ms: number): Promise<void> {
    return sleepFor(ms, { signal: this.#left.signal, ref: false })
  }

  /** An action that fails is tried again when its time comes. */
  async repeat(action: () => Promise<void>, pause: () => Promise<void>, onError: (error: unknown) => void) {
    while (!this.isOver) {
      try {
        await action()
      } catch (error) {
        onError(error)
      }
      await pause()
    }
  }

  /** Resolves when the subscription is active, however often it must be tried, or when this node leaves. */
  async watch(store: Pick<Store, 'watch'>, scope: string, listener: WatchListener, retryMs: number) {
    while (!this.isOver) {
      try {
        const unwatch = await store.watch(scope, listener)
        if (this.isOver) unwatch()
        else this.#unwatch.push(unwatch)
        return
      } catch (error) {
        this.#tellOnce(error)
        await this.pause(retryMs)
      }
    }
  }

  /** A store that is away comes back; one that refuses does so until somebody changes its settings. */
  #tellOnce(error: unknown) {
    if (this.#toldRefused || !(error instanceof StoreError) || error.code !== 'store-failed') return
    this.#toldRefused = true
    this.#logger.warn({ error }, 'the store refuses to wake this node: calls and streams will not work')
  }
}
