/**
 * Messages on their way to one reader, as the body of an event stream. `onSize`: told of each change of how many characters wait, so
 * that whoever writes them can be slowed down. `onEnd`: called once, when the reader has left or the last message is read.
 */
export class Outbox {
  readonly #waiting: string[] = []
  readonly #onSize: (change: number) => void
  readonly #onEnd: () => void
  #wake: () => void = () => undefined
  #isOver = false
  #error: Error | undefined
  #hasEnded = false

  constructor({ onSize, onEnd }: { onSize: (change: number) => void; onEnd: () => void }) {
    this.#onSize = onSize
    this.#onEnd = onEnd
  }

  /** `isLast`: nothing follows. */
  push(json: string, { isLast = false } = {}) {
    if (this.#isOver) return
    this.#isOver = isLast
    this.#waiting.push(json)
    this.#onSize(json.length)
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
    for (const json of this.#waiting.splice(0)) this.#onSize(-json.length)
    this.#finish()
    this.#wake()
  }

  async *events(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const json = this.#waiting.shift()
        if (json !== undefined) {
          this.#onSize(-json.length)
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

  #finish() {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#onEnd()
  }
}
