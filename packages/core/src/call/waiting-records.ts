import type { Effect } from '../context/call-log.js'
import { BacklogError } from '../errors.js'

type Waiting = { readonly data: string; readonly effect: Effect | undefined }

/** One operation of the store holds up all others for as long as it takes. */
const MOST_BATCH_CHARS = 1024 * 1024
/** What a record takes beside its characters, as far as that matters. */
const OVERHEAD_CHARS = 256
/** What all calls of a node together may say while the store has not taken what they said before. */
const MOST_CHARS_OF_NODE = 256 * 1024 * 1024

/** How many characters wait in all journals of a node. */
export class Backlog {
  chars = 0
}

/** Records of one journal that wait for those before them to be taken by the store, in their order. */
export class WaitingRecords<Record extends Waiting> {
  readonly #backlog: Backlog
  readonly #mostChars: number
  #records: Record[] = []
  #chars = 0
  /** So many of what waits go alone: one of them was refused, and nobody knows which. */
  #alone = 0

  /** `mostChars`: what this one may have waiting. */
  constructor(backlog: Backlog, mostChars: number) {
    this.#mostChars = mostChars
    this.#backlog = backlog
  }

  get length(): number {
    return this.#records.length
  }

  get last(): Record | undefined {
    return this.#records.at(-1)
  }

  push(record: Record) {
    this.#records.push(record)
    this.#count(sizeOf(record))
  }

  /** They were refused together: each is tried by itself, before what waits. */
  putBack(records: readonly Record[]) {
    this.#records.unshift(...records)
    this.#alone = records.length
    for (const record of records) this.#count(sizeOf(record))
  }

  /** Throws a `BacklogError` if too much waits already. `few`: what others have waiting is no reason up to there. */
  requireRoom(few: number) {
    const { length } = this.#records
    const isTooMuch =
      this.#chars >= this.#mostChars || (length > few && this.#backlog.chars >= MOST_CHARS_OF_NODE)
    if (isTooMuch) throw new BacklogError(length)
  }

  /** What waits, as far as it is little, up to the next record with an effect; that one goes alone, since it may not apply. */
  takeBatch(): Record[] {
    if (this.#alone > 0) {
      this.#alone--
      return this.#take(1)
    }
    let chars = 0
    const next = this.#records.findIndex(
      ({ effect, data }) => effect || (chars += data.length) > MOST_BATCH_CHARS,
    )
    return this.#take(next < 0 ? this.#records.length : Math.max(next, 1))
  }

  takeAll(): Record[] {
    return this.#take(this.#records.length)
  }

  #take(count: number): Record[] {
    const taken = this.#records.splice(0, count)
    for (const record of taken) this.#count(-sizeOf(record))
    return taken
  }

  #count(chars: number) {
    this.#chars += chars
    this.#backlog.chars += chars
  }
}

const sizeOf = ({ data }: Waiting) => data.length + OVERHEAD_CHARS
