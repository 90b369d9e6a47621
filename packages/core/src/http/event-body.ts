/** Characters a connection may hold; past it nothing more is read from the log until the client takes some. */
const HIGH_WATER = 64 * 1024

type Chunk = { done: false; value: Uint8Array } | { done: true; value: undefined }
type Waiting = { resolve: (chunk: Chunk) => void; reject: (error: Error) => void }

/** The body of an answer: the text that nobody has taken yet, and its one reader, which may wait for more. */
export class EventBody {
  /** Resolves when nothing more is taken; @hono/node-server waits for it, as for a reader of a stream. */
  readonly closed: Promise<void>
  readonly #onTaken: () => void
  readonly #onCancelled: () => void
  #text = ''
  #waiting: Waiting | undefined
  #ended = false
  #failure: Error | undefined
  #close!: () => void

  constructor({ onTaken, onCancelled }: { onTaken: () => void; onCancelled: () => void }) {
    this.#onTaken = onTaken
    this.#onCancelled = onCancelled
    this.closed = new Promise((resolve) => (this.#close = resolve))
  }

  get hasRoom() {
    return this.#text.length < HIGH_WATER
  }

  write(text: string) {
    this.#text += text
  }

  /** What was written together goes out together. */
  flush() {
    if (this.#waiting && this.#text !== '') this.#answer(this.#take())
  }

  /** Nothing follows what was written. */
  end() {
    this.flush()
    this.#ended = true
    if (this.#waiting) this.#answer(this.#done())
  }

  /** The reader gets the error in place of what it has not taken. */
  fail(error: Error) {
    this.#failure = error
    this.#waiting?.reject(error)
    this.#close()
  }

  read(): Promise<Chunk> {
    if (this.#failure) return Promise.reject(this.#failure)
    if (this.#text !== '') return Promise.resolve(this.#take())
    if (this.#ended) return Promise.resolve(this.#done())
    return new Promise((resolve, reject) => (this.#waiting = { resolve, reject }))
  }

  async cancel() {
    this.#text = ''
    this.#ended = true
    this.#answer(this.#done())
    this.#onCancelled()
  }

  stream(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const { done, value } = await this.read()
          if (done) controller.close()
          else controller.enqueue(value)
        },
        cancel: () => this.cancel(),
      },
      { highWaterMark: 0 },
    )
  }

  #answer(chunk: Chunk) {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.resolve(chunk)
  }

  #take(): Chunk {
    const value = Buffer.from(this.#text)
    this.#text = ''
    this.#onTaken()
    return { done: false, value }
  }

  #done(): Chunk {
    this.#close()
    return { done: true, value: undefined }
  }
}
