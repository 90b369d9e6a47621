import { setTimeout as sleep } from 'node:timers/promises'
import { BEGINNING } from '@mcp-durable/core/store'
import type { Store } from '@mcp-durable/core'
import { isBehind } from './event-ids.js'

export type Change = { entry: string; uri: string; to: string | undefined }

const PAGE = 256
const LOOK_EVERY_MS = 500

/** All changes that were told of in a run: the store keeps the newest only, so they are read while they come. */
export class Changes {
  readonly all: Change[] = []
  readonly #store: Store
  #after = BEGINNING

  constructor(store: Store) {
    this.#store = store
  }

  /** Until `signal` fires; a store that is away is asked again. */
  async collect(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.read().catch(() => undefined)
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  async read(): Promise<void> {
    for (;;) {
      const page = await this.#store.read('changes', 'out', this.#after, PAGE)
      if (!page) throw new Error('changes came faster than they were read')
      for (const { id, data } of page) {
        const { uri, principal } = JSON.parse(data) as { uri: string; principal?: string }
        this.all.push({ entry: id, uri, to: principal })
        this.#after = id
      }
      if (page.length < PAGE) return
    }
  }

  /** How many there are behind an entry, up to another one. */
  between(after: string, upTo: string): number {
    return this.all.filter(({ entry }) => isBehind(entry, after) && !isBehind(entry, upTo)).length
  }

  /** What somebody hears who listens from behind an entry. */
  heardBy({ uris, principal }: { uris: readonly string[]; principal: string }, after: string): Change[] {
    return this.all.filter(
      ({ entry, uri, to }) =>
        isBehind(entry, after) && uris.includes(uri) && (to === undefined || to === principal),
    )
  }
}
