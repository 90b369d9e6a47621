import type { Entry, LogName } from './entries.js'
import type { Keeping } from './history.js'
import type { MemoryData } from './memory-data.js'
import type { Session } from './memory-session.js'

/** What the parts of one store work on: the data of its name, and what it keeps of what it writes. */
export class MemorySpace {
  readonly data: MemoryData
  readonly #keeping: Keeping | undefined

  constructor(data: MemoryData, keeping: Keeping | undefined) {
    this.data = data
    this.#keeping = keeping
  }

  live(scope: string): Session | undefined {
    return this.data.live(scope)
  }

  /** Wakes in a later turn, as a network would, so that no caller relies on being woken at once. */
  wake(scope: string, topic: string, value: string) {
    const listeners = this.data.watchers.get(scope)
    if (!listeners) return
    setImmediate(() => {
      for (const listener of listeners) listener(topic, value)
    })
  }

  /** What was just written belongs to the history as well, where one is kept. */
  keep(scope: string, log: LogName | 'state', entries: readonly Entry[]) {
    if (this.#keeping)
      this.data.histories.keep(scope, this.live(scope)?.principal, log, entries, this.#keeping)
  }
}
