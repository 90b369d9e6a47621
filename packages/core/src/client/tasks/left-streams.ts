/** More are not remembered, the oldest first: they are of clients that did not come back. */
const MAX_LEFT = 1_000

/** Streams that ended before their call did, by the event with which the client comes back. */
export class LeftStreams<T> {
  readonly #left = new Map<string, T>()

  leave(key: string, stream: T) {
    this.#left.delete(key)
    this.#left.set(key, stream)
    for (const oldest of this.#left.keys()) {
      if (this.#left.size <= MAX_LEFT) return
      this.#left.delete(oldest)
    }
  }

  find(key: string): T | undefined {
    return this.#left.get(key)
  }

  forget(key: string) {
    this.#left.delete(key)
  }
}
