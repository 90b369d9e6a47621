/** A class, not a literal: see CONTRIBUTING.md. */
class Place<T> {
  after: Place<T> | undefined

  constructor(
    public member: T | undefined,
    public before: Place<T> | undefined,
  ) {}
}

/**
 * Things that come and go by the thousand. A plain `Set` or `Map` of them keeps the garbage collector busy: V8 leaves
 * behind each table that it has outgrown, with all that was in it and the way to the next one. Here what leaves is let go.
 */
export class Members<T extends object> implements Iterable<T> {
  #first: Place<T> | undefined
  #last: Place<T> | undefined
  #size = 0

  get size() {
    return this.#size
  }

  /** Call what it returns to take the member out; false: it was out already. */
  add(member: T): () => boolean {
    const place = new Place(member, this.#last)
    if (this.#last) this.#last.after = place
    else this.#first = place
    this.#last = place
    this.#size++
    return () => this.#remove(place)
  }

  /** Those that are members now and still are when it is their turn. */
  *[Symbol.iterator]() {
    for (const place of this.#places()) if (place.member) yield place.member
  }

  #places(): Place<T>[] {
    const places = []
    for (let place = this.#first; place; place = place.after) places.push(place)
    return places
  }

  #remove(place: Place<T>): boolean {
    if (!place.member) return false
    if (place.before) place.before.after = place.after
    else this.#first = place.after
    if (place.after) place.after.before = place.before
    else this.#last = place.before
    place.member = place.before = place.after = undefined
    this.#size--
    return true
  }
}
