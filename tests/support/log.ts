const TIMEOUT_MS = 15_000

/** Things in the order in which they happened, and a way to wait for one. */
export class Log<T> {
  readonly items: T[] = []
  readonly #title: string
  readonly #listeners = new Set<() => void>()

  constructor(title: string) {
    this.#title = title
  }

  push(item: T) {
    this.items.push(item)
    for (const listener of this.#listeners) listener()
  }

  /** Says that an item has changed. */
  changed() {
    for (const listener of this.#listeners) listener()
  }

  /** The first item, at or after the index `since`, that matches; waits for it. */
  async first(matches: (item: T) => boolean, since = 0): Promise<T> {
    const [found] = await this.atLeast(1, matches, since)
    return found!
  }

  /** The items that match, once there are `count` of them. */
  atLeast(count: number, matches: (item: T) => boolean = () => true, since = 0): Promise<T[]> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.items.slice(since).filter((item) => matches(item))
        if (found.length < count) return
        this.#listeners.delete(look)
        clearTimeout(timer)
        resolve(found)
      }
      const timer = setTimeout(() => {
        this.#listeners.delete(look)
        const items = JSON.stringify(this.items).slice(-4_000)
        reject(new Error(`${this.#title}: what was waited for did not come. There are: ${items}`))
      }, TIMEOUT_MS)
      this.#listeners.add(look)
      look()
    })
  }
}
