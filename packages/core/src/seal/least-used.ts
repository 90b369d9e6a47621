/**
 * A map of bounded size: what was not asked for the longest goes first, half of all at once. A `Map` that is kept in the order of use costs
 * more the larger it is: its first key stands behind all that were removed.
 */
export class LeastUsed<T> {
  readonly #most: number
  #recent = new Map<string, T>()
  #older = new Map<string, T>()

  constructor(most: number) {
    this.#most = Math.max(1, Math.floor(most / 2))
  }

  get(key: string): T | undefined {
    const recent = this.#recent.get(key)
    if (recent !== undefined) return recent
    const older = this.#older.get(key)
    if (older !== undefined) this.set(key, older)
    return older
  }

  set(key: string, value: T) {
    this.#older.delete(key)
    this.#recent.set(key, value)
    if (this.#recent.size < this.#most) return
    this.#older = this.#recent
    this.#recent = new Map()
  }

  /** Removes all whose keys begin so. */
  deleteAll(beginning: string) {
    for (const half of [this.#recent, this.#older])
      for (const key of half.keys()) if (key.startsWith(beginning)) half.delete(key)
  }

  /** Removes it, if it is this one. */
  delete(key: string, value = this.get(key)) {
    for (const half of [this.#recent, this.#older]) if (half.get(key) === value) half.delete(key)
  }
}
