export type OutboxEvents = {
  /** Told of each change of how many characters wait, so that whoever writes them can be slowed down. */
  onSize: (change: number) => void
  /** Called once, when the reader has left or the last message is read; with what it has not read. */
  onEnd: (unread: readonly string[]) => void
}

/** Messages on their way to one reader, as the body of an event stream. */
export class Outbox {
  readonly #waiting: string[] = []
  readonly #events: OutboxEvents
  #wake: () => void = () => undefined
  #isOver = false
  #error: Error | undefined
  #hasEnded = false

  constructor(events: OutboxEvents) {
    this.#events = events
  }

  /** `isLast`: nothing follows. */
  push(json: string, { isLast = false } = {}) {
    if (this.#isOver) return
    this.#isOver = isLast
    this.#waiting.push(json)
    this.#events.onSize(json.length)
    this.#wake()
  }

  /** The reader gets what waits, and then the error, or the end of the stream. */
  end(error?: Error) {
    if (this.#isOver) return
    this.#isOver = true
    this.#error = error
    this.#wake()
  }

  /** The reader does not want the rest. */
  cancel() {
    this.#isOver = true
    const unread = this.#waiting.splice(0)
    for (const json of unread) this.#events.onSize(-json.length)
    if (!this.#hasEnded) this.#events.onEnd(unread)
    this.#hasEnded = true
    this.#wake()
  }

  async *events(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const json = this.#waiting.shift()
        if (json !== undefined) {
          this.#events.onSize(-json.length)
          // A return is white space in JSON, and the end of a line in a stream of events.
          yield Buffer.from(`data: ${json.replaceAll('\r', ' ')}\n\n`)
        } else if (this.#isOver) {
          if (this.#error) throw this.#error
          return
        } else await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } finally {
      this.cancel()
    }
  }
}
