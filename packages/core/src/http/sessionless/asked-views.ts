import type { CallPlace } from '../../session/place.js'
import { nameOf } from '../../session/place.js'
import type { Store } from '../../store/store.js'
import { AskedView } from './asked.js'
import type { AskedSoFar } from './asked.js'

const MOST_VIEWS = 1000
const MOST_CHARS = 1 << 24
/** Much longer than clients wait before they ask once more. */
const KEPT_MS = 60_000

/** The calls that were asked for lately, as tasks are again and again; those last that were asked for last. */
export class AskedViews {
  readonly #store: Store
  readonly #views = new Map<string, { view: AskedView; size: number; at: number }>()
  readonly #clock: () => number
  #chars = 0

  /** `clock`: in ms, and never back. */
  constructor(store: Store, clock = () => performance.now()) {
    this.#store = store
    this.#clock = clock
  }

  async look(place: CallPlace): Promise<AskedSoFar> {
    const name = nameOf(place)
    const { view } = this.#views.get(name) ?? { view: new AskedView(this.#store, place) }
    const asked = await view.look()
    this.#forget(name)
    if (asked.first) this.#keep(name, view)
    this.#forgetOldest()
    return asked
  }

  #keep(name: string, view: AskedView) {
    const { size } = view
    this.#views.set(name, { view, size, at: this.#clock() })
    this.#chars += size
  }

  #forgetOldest() {
    const now = this.#clock()
    for (const [oldest, { at }] of this.#views) {
      const isFull = this.#views.size > MOST_VIEWS || this.#chars > MOST_CHARS
      if (!isFull && now - at <= KEPT_MS) break
      this.#forget(oldest)
    }
  }

  #forget(name: string) {
    this.#chars -= this.#views.get(name)?.size ?? 0
    this.#views.delete(name)
  }
}
