/** Characters a connection may hold; past it nothing more is read from the log until the client takes some. */
const HIGH_WATER = 64 * 1024
/** Of a large event as much is given out at once, so that it shows whether the client takes it. */
const PIECE_BYTES = 64 * 1024

type Chunk = { done: false; value: Uint8Array } | { done: true; value: undefined }
type Waiting = { resolve: (chunk: Chunk) => void; reject: (error: Error) => void }

export type BodyEvents = {
  onTaken: () => void
  onCancelled: () => void
  /** Once: nothing more is taken. */
  onClosed: () => void
}

/** The body of an answer: what nobody has taken yet, and its one reader, which may wait for more. */
export class EventBody {
  /** Resolves when nothing more is taken; @hono/node-server waits for it, as for a reader of a stream. */
  readonly closed: Promise<void>
  readonly #events: BodyEvents
  #text = ''
  /** Of what was text, the pieces that are still to be taken. */
  #rest: Buffer | undefined
  #waiting: Waiting | undefined
  #ended = false
  #isClosed = false
  #failure: Error | undefined
  #resolveClosed!: () => void

  constructor(events: BodyEvents) {
    this.#events = events
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve))
  }

  get hasRoom() {
    return this.#rest === undefined && this.#text.length < HIGH_WATER
  }

  /** Its reader has passed on all that there was. */
  get isAwaited() {
    return this.#waiting !== undefined
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
    this.#waiting = undefined
    this.#close()
  }

  read(): Promise<Chunk> {
    if (this.#failure) return Promise.reject(this.#failure)
    if (this.#rest !== undefined || this.#text !== '') return Promise.resolve(this.#take())
    if (this.#ended) return Promise.resolve(this.#done())
    return new Promise((resolve, reject) => (this.#waiting = { resolve, reject }))
  }

  async cancel() {
    this.#text = ''
    this.#rest = undefined
    this.#ended = true
    this.#events.onCancelled()
    this.#answer(this.#done())
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
    const all = this.#rest ?? Buffer.from(this.#text)
    if (this.#rest === undefined) this.#text = ''
    this.#rest = all.length > PIECE_BYTES ? all.subarray(PIECE_BYTES) : undefined
    const value = this.#rest === undefined ? all : all.subarray(0, PIECE_BYTES)
    this.#events.onTaken()
    return { done: false, value }
  }

  #done(): Chunk {
    this.#close()
    return { done: true, value: undefined }
  }

  #close() {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#resolveClosed()
    this.#events.onClosed()
  }
}
