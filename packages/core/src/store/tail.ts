import { SealError } from '../errors.js'
import { bytesOf } from './entries.js'
import type { Entry, EntryId, LogName, Store } from './store.js'
import { concerns } from './watcher.js'
import type { Signal, Watch, Watcher } from './watcher.js'

/** Where a tail delivers. `write` answers whether it wants more now; it says so later through `Tail.resume`. */
export interface TailSink {
  write(entry: Entry): boolean
  /** What was written together is complete. */
  flush?(): void
  /** Nothing more follows. `lost`: entries after the cursor are not held any more. `deleted`: the scope was. */
  over(reason: 'lost' | 'deleted'): void
  /** What follows can't be opened on this node. It is read again now and then. */
  sealed?(error: SealError): void
}

/**
 * `caughtUp`: whoever asks knows that nothing follows `after` yet, which saves the first read. `isOwn`: nobody but this node writes it,
 * unless it is taken for dead, which saves the one behind the subscription: what others write before that shows with the next
 * reconciliation.
 */
export type TailStart = {
  scope: string
  log: LogName
  after: EntryId
  caughtUp?: boolean | undefined
  isOwn?: boolean | undefined
}

const FIRST_PAGE = 64
const MOST_PAGE = 1024
const SMALL_PAGE_CHARS = 1 << 16
const LARGE_PAGE_CHARS = 1 << 20
/** More is not read at once, unless it is one entry. */
const PAGE_BYTES = 1 << 20

/**
 * Follows one log from a cursor: what is there already, then what is appended, by whichever node.
 *
 * Invariant: the sink gets every entry after the cursor once, in order. It is pulled: while the sink
 * wants nothing, nothing is read, so a slow reader costs a cursor and the entry it is at.
 */
export class Tail {
  readonly #store: Store
  readonly #scope: string
  readonly #log: LogName
  readonly #sink: TailSink
  readonly #watch: Watch
  #cursor: EntryId
  #behind: boolean
  #wanted = true
  #reading = false
  #pumped: Promise<void> | undefined
  #ended = false
  #limit = FIRST_PAGE
  /** What the sink takes at once before it has enough: what is read beyond that would be read again. */
  #appetite: number | undefined
  #taken = 0

  constructor(store: Store, watcher: Watcher, from: TailStart, sink: TailSink) {
    this.#store = store
    this.#scope = from.scope
    this.#log = from.log
    this.#cursor = from.after
    this.#behind = !from.caughtUp
    this.#sink = { ...sink }
    this.#watch = watcher.watch(from.scope, from.log, (signal) => this.#heard(signal))
    // What others append before the subscription stands wakes nobody, so the log is read once more then.
    // A subscription that failed is made again, and says so to all.
    if (!this.#watch.standing && !from.isOwn) {
      this.#watch.active.then(
        () => this.#lookAgain(),
        () => undefined,
      )
    }
    if (this.#behind) this.#pump()
  }

  /** The sink wants more. */
  resume() {
    this.#wanted = true
    this.#taken = 0
    if (this.#appetite !== undefined) this.#limit = this.#appetite
    if (this.#behind) this.#pump()
  }

  /** Resolves when what is known to be there was read, as far as the sink wants it. */
  async caughtUp(): Promise<void> {
    await this.#pumped
  }

  end() {
    if (this.#ended) return
    this.#ended = true
    this.#watch.end()
  }

  #heard(signal: Signal) {
    if (this.#ended) return
    if (signal.topic === 'deleted') return this.#sink.over('deleted')
    if (!concerns(signal, this.#log, this.#cursor)) return
    const { appended } = signal
    // Not while it is behind: the sink may want more in the middle of this, and a read would bring the rest once more.
    const isNext = appended?.previous === this.#cursor && !this.#behind
    if (appended && isNext && this.#wanted && !this.#reading && appended.entries.length > 0) {
      for (const entry of appended.entries) if (!this.#deliver(entry)) break
      this.#sink.flush?.()
      if (this.#cursor !== appended.entries.at(-1)?.id) this.#behind = true
      return
    }
    this.#lookAgain()
  }

  #lookAgain() {
    this.#behind = true
    if (this.#wanted) this.#pump()
  }

  #deliver(entry: Entry): boolean {
    this.#cursor = entry.id
    this.#wanted = this.#sink.write(entry)
    return this.#wanted && !this.#ended
  }

  #pump() {
    if (!this.#reading) this.#pumped = this.#readOn()
  }

  async #readOn() {
    this.#reading = true
    try {
      while (this.#behind && this.#wanted && !this.#ended) {
        this.#behind = false
        const entries = await this.#store.read(this.#scope, this.#log, this.#cursor, this.#limit, PAGE_BYTES)
        if (this.#ended) return
        if (!entries) return this.#sink.over('lost')
        if (entries.length === this.#limit || bytesOf(entries) >= PAGE_BYTES) this.#behind = true
        this.#deliverPage(entries)
      }
    } catch (error) {
      // The store is away. The cursor stands; reconciliation or the next wake-up goes on from it.
      this.#behind = true
      if (error instanceof SealError) this.#sink.sealed?.(error)
    } finally {
      this.#reading = false
    }
  }

  #deliverPage(entries: readonly Entry[]) {
    let chars = 0
    for (const entry of entries) {
      chars += entry.data.length
      this.#taken++
      if (this.#deliver(entry)) continue
      if (!this.#wanted) this.#appetite = Math.min(this.#taken, MOST_PAGE)
      if (entry !== entries.at(-1)) this.#behind = true
      break
    }
    this.#limit = this.#nextLimit(chars)
    // The sink may want more in the middle of this.
    this.#sink.flush?.()
  }

  #nextLimit(chars: number) {
    if (chars > LARGE_PAGE_CHARS) return 1
    const isLong = chars > SMALL_PAGE_CHARS || this.#appetite !== undefined || this.#limit < FIRST_PAGE
    return isLong ? FIRST_PAGE : Math.min(this.#limit * 4, MOST_PAGE)
  }
}
