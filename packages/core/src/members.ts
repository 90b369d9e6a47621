type Place<T> = { member: T | undefined }

/**
 * A set of things that come and go by the thousand. A plain `Set` of them keeps the garbage collector busy: V8 leaves
 * behind the table that a Set has outgrown, with all that was in it and the way to the next one. Here it leaves empty places.
 */
export class Members<T extends object> implements Iterable<T> {
  readonly #places = new Set<Place<T>>()

  get size() {
    return this.#places.size
  }

  /** Call what it returns to take the member out. */
  add(member: T): () => void {
    const place: Place<T> = { member }
    this.#places.add(place)
    return () => {
      place.member = undefined
      this.#places.delete(place)
    }
  }

  *[Symbol.iterator]() {
    for (const { member } of this.#places) if (member) yield member
  }
}
