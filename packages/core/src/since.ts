/**
 * The time that has passed since a moment. By whichever clock has gone further: one may be set back, and the other stands still while
 * the machine sleeps.
 */
export class Since {
  readonly #date = Date.now()
  readonly #monotonic = performance.now()

  get ms(): number {
    return Math.max(Date.now() - this.#date, performance.now() - this.#monotonic)
  }
}
