import { begun } from '../store/retry.js'
import type { QuietEntry, QuietlyAppended, Store } from '../store/store.js'

/** As many entries go to the store in one operation, in which it may serve nobody else. */
const MOST = 128

/** Hears what has become of entries of one journal; of several, what the first one came to that was not appended. */
export type QuietReceipt = {
  resolve: (outcome: QuietlyAppended) => void
  reject: (error: unknown) => void
}
type QuietStore = Pick<Store, 'appendQuietly' | 'isSpread'>

/**
 * Appends to journals what no reader waits for, such as steps. What all calls of a node come up with together goes to the
 * store in one operation: that costs more than an entry in it does.
 */
export class QuietAppends {
  readonly #store: QuietStore
  /** One server that is away must not hold up what goes to the others. */
  readonly #isSpread: boolean
  #entries: QuietEntry[] = []
  /** Of each entry; the last one of a journal's has the journal's receipt. */
  #receipts: Array<QuietReceipt | undefined> = []

  constructor(store: QuietStore) {
    this.#store = store
    this.#isSpread = store.isSpread?.() === true
  }

  append(entries: readonly QuietEntry[], receipt: QuietReceipt) {
    // Who goes on with the same answer of the store has come by then: what they wait for are promises.
    if (this.#entries.length === 0) process.nextTick(this.#flush)
    const last = entries.length - 1
    for (let place = 0; place <= last; place++) {
      this.#entries.push(entries[place]!)
      this.#receipts.push(place === last ? receipt : undefined)
    }
    if (this.#entries.length >= MOST || this.#isSpread) this.#flush()
  }

  readonly #flush = () => {
    if (this.#entries.length === 0) return
    const entries = this.#entries
    const receipts = this.#receipts
    this.#entries = []
    this.#receipts = []
    begun(() => this.#store.appendQuietly(entries)).then(
      (outcomes) => tell(receipts, outcomes),
      (error: unknown) => {
        for (const receipt of receipts) receipt?.reject(error)
      },
    )
  }
}

function tell(receipts: ReadonlyArray<QuietReceipt | undefined>, outcomes: readonly QuietlyAppended[]) {
  let outcome: QuietlyAppended = 'appended'
  for (let place = 0; place < receipts.length; place++) {
    if (outcome === 'appended') outcome = outcomes[place] ?? 'gone'
    const receipt = receipts[place]
    if (!receipt) continue
    receipt.resolve(outcome)
    outcome = 'appended'
  }
}
