import { MapChangedTwiceError } from './errors.js'
import type { MapUse } from './sorted-map.js'
import type { Steps } from './steps.js'

/** The changes that one run of a call makes to maps. */
export class MapChanges implements MapUse {
  readonly maxBytes: number
  readonly #callId: string
  readonly #steps: Steps
  readonly #claimed = new Set<string>()

  constructor(callId: string, steps: Steps, maxBytes: number) {
    this.maxBytes = maxBytes
    this.#callId = callId
    this.#steps = steps
  }

  /** The mark of a change, the same in every run: the map is changed by it once. */
  claim(map: string, alias: string): string {
    this.#steps.guard(alias === '' ? `map ${map}` : `map ${map} (${alias})`)
    // Encoded, so that no name and alias together read like another pair.
    const mark = `${this.#callId}:${encodeURIComponent(map)}:${alias}`
    if (this.#claimed.has(mark)) throw new MapChangedTwiceError(map, alias)
    this.#claimed.add(mark)
    return mark
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    return this.#steps.beside(work())
  }
}
