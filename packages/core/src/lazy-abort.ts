/** An `AbortController` that is made when its signal is first asked for: most are not, and each one costs. */
export class LazyAbort {
  #controller: AbortController | undefined
  #aborted = false
  #reason: unknown
  #listeners: Array<() => void> = []

  get aborted() {
    return this.#aborted
  }

  get reason() {
    return this.#reason
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#aborted) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  abort(reason?: unknown) {
    if (this.#aborted) return
    this.#aborted = true
    this.#reason = reason
    for (const listener of this.#listeners.splice(0)) listener()
    this.#controller?.abort(reason)
  }

  throwIfAborted() {
    if (this.#aborted) throw this.#reason
  }

  /** Calls `listener` when it aborts; at once if it has. For few that listen for good: they are not let go of before. */
  listen(listener: () => void) {
    if (this.#aborted) listener()
    else this.#listeners.push(listener)
  }
}
