import type { CallPlace } from '../../session/place.js'
import { nameOf } from '../../session/place.js'
import type { Store } from '../../store/store.js'
import { AskedView } from './asked.js'
import type { AskedSoFar } from './asked.js'

const MOST_VIEWS = 1000
const MOST_CHARS = 1 << 24

/** The calls that were asked for lately, as tasks are again and again; those first that were asked for last. */
export class AskedViews {
  readonly #store: Store
  readonly #views = new Map<string, { view: AskedView; size: number }>()
  #chars = 0

  constructor(store: Store) {
    this.#store = store
  }

  async look(place: CallPlace): Promise<AskedSoFar> {
    const name = nameOf(place)
    const { view } = this.#views.get(name) ?? { view: new AskedView(this.#store, place) }
    const asked = await view.look()
    this.#forget(name)
    if (asked.first) this.#keep(name, view)
    return asked
  }

  #keep(name: string, view: AskedView) {
    const { size } = view
    this.#views.set(name, { view, size })
    this.#chars += size
    for (const oldest of this.#views.keys()) {
      if (this.#views.size <= MOST_VIEWS && this.#chars <= MOST_CHARS) break
      this.#forget(oldest)
    }
  }

  #forget(name: string) {
    this.#chars -= this.#views.get(name)?.size ?? 0
    this.#views.delete(name)
  }
}
