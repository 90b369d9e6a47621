/** What sleeps in a call, as long as it may be woken before its time. In every run, what was woken in one is. */
export class Sleeps {
  readonly #woken = new Set<string>()
  readonly #sleeping = new Map<string, () => void>()

  /** Calls `wake` once, now or later, if the step is woken; returns how to call it off. */
  begin(step: string, wake: () => void): () => void {
    if (this.#woken.has(step)) wake()
    else this.#sleeping.set(step, wake)
    return () => this.#sleeping.delete(step)
  }

  wake(steps: readonly string[]) {
    for (const step of steps) {
      this.#woken.add(step)
      const wake = this.#sleeping.get(step)
      this.#sleeping.delete(step)
      wake?.()
    }
  }
}
