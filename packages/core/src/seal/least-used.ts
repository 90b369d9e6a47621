/** A map of bounded size: what was not asked for the longest goes first. */
export class LeastUsed<T> {
  readonly #most: number
  readonly #all = new Map<string, T>()

  constructor(most: number) {
    this.#most = most
  }

  get(key: string): T | undefined {
    const value = this.#all.get(key)
    if (value === undefined) return undefined
    this.#all.delete(key)
    this.#all.set(key, value)
    return value
  }

  set(key: string, value: T) {
    this.#all.delete(key)
    this.#all.set(key, value)
    const [oldest] = this.#all.keys()
    if (this.#all.size > this.#most && oldest !== undefined) this.#all.delete(oldest)
  }

  /** Removes it, if it is this one. */
  delete(key: string, value = this.#all.get(key)) {
    if (this.#all.get(key) === value) this.#all.delete(key)
  }
}
