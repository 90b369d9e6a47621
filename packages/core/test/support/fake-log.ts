import { BEGINNING, compareIds } from '../../src/store/index.js'
import { StoreError } from '../../src/error-classes.js'
import type { Entry, EntryId, WatchListener } from '../../src/store/index.js'
import type { Store } from '../../src/index.js'
import { Watcher } from '../../src/store/watcher.js'

type Read = { finish: () => void; fail: () => void }

/** One log of a store whose every answer and wake-up comes when the test says so. */
export class FakeLog {
  readonly scope = 'scope'
  readonly log = 'out' as const
  readonly entries: Entry[] = []
  readonly watcher: Watcher
  readonly store: Store
  readonly #reads: Read[] = []
  #wakes: EntryId[] = []
  #listener: WatchListener | undefined
  #activate: (() => void) | undefined

  constructor() {
    this.store = {
      read: (_scope: string, _log: string, after: EntryId, limit: number) => this.#read(after, limit),
      watch: (_scope: string, listener: WatchListener) =>
        new Promise<() => void>((resolve) => {
          this.#activate = () => {
            this.#listener = listener
            resolve(() => (this.#listener = undefined))
          }
        }),
    } as Partial<Store> as Store
    this.watcher = new Watcher(this.store)
  }

  get last(): EntryId {
    return this.entries.at(-1)?.id ?? BEGINNING
  }

  get reading() {
    return this.#reads.length
  }

  /** Entries that this node appends: its readers get them at once. */
  appendHere(count: number) {
    const previous = this.last
    const entries = this.#add(count)
    this.watcher.appended(this.scope, this.log, { previous, entries })
    // The store tells this node as well.
    this.#wakes.push(this.last)
  }

  /** Entries of another node: its readers are woken later, or never. */
  appendElsewhere(count: number) {
    this.#add(count)
    if (this.#listener) this.#wakes.push(this.last)
  }

  wake() {
    const value = this.#wakes.shift()
    if (value !== undefined) this.#listener?.(this.log, value)
  }

  dropWakes() {
    this.#wakes = []
  }

  /** The subscription stands from now on; wake-ups from before it are not heard. */
  activate() {
    if (!this.#listener) this.#wakes = []
    this.#activate?.()
    this.#activate = undefined
  }

  deleteScope() {
    this.#listener?.('deleted', '')
  }

  finishRead() {
    this.#reads.shift()?.finish()
  }

  failRead() {
    this.#reads.shift()?.fail()
  }

  #add(count: number) {
    const first = Number(this.last.split('-')[1])
    const added = Array.from({ length: count }, (_, n) => ({
      id: `1-${first + n + 1}`,
      data: `${first + n + 1}`,
    }))
    this.entries.push(...added)
    return added
  }

  /** The answer is what was there when it was asked for, or when it comes; both may be. */
  #read(after: EntryId, limit: number): Promise<Entry[]> {
    const answer = () => this.entries.filter(({ id }) => compareIds(id, after) > 0).slice(0, limit)
    const early = this.entries.length % 2 === 0 ? answer() : undefined
    return new Promise((resolve, reject) => {
      this.#reads.push({
        finish: () => resolve(early ?? answer()),
        fail: () => reject(new StoreError('store-timeout', 'The store did not answer.')),
      })
    })
  }
}
