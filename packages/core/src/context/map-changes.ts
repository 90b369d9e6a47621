import { MapChangedTwiceError } from './errors.js'
import type { MapUse } from './sorted-map.js'
import type { Steps } from './steps.js'

/** The changes that one run of a call makes to maps. */
export class MapChanges implements MapUse {
  readonly maxBytes: number
  readonly #callId: string
  readonly #steps: Steps
  readonly #claimed = new Set<string>()
  /** By their marks, what those that have begun and not ended are called. */
  readonly #underWay = new Map<string, string>()

  constructor(callId: string, steps: Steps, maxBytes: number) {
    this.maxBytes = maxBytes
    this.#callId = callId
    this.#steps = steps
  }

  get unfinished(): Iterable<string> {
    return this.#underWay.values()
  }

  async change(map: string, alias: string, apply: (mark: string) => Promise<unknown>) {
    const name = `map ${map}`
    const mark = this.#claim(map, alias, name)
    this.#underWay.set(mark, name)
    try {
      await apply(mark)
    } finally {
      this.#underWay.delete(mark)
    }
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    return this.#steps.beside(work())
  }

  /** The mark of a change, the same in every run: the map is changed by it once. */
  #claim(map: string, alias: string, name: string): string {
    this.#steps.guard(name, alias === '' ? name : `${name} (${alias})`)
    // Encoded, so that no name and alias together read like another pair.
    const mark = `${this.#callId}:${encodeURIComponent(map)}:${alias}`
    if (this.#claimed.has(mark)) throw new MapChangedTwiceError(map, alias)
    this.#claimed.add(mark)
    return mark
  }
}
