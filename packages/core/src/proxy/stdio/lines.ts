/** What is kept of either end of a line that is too long: the id of a message stands at one of them. */
const KEPT_BYTES = 1024
const NEWLINE = 0x0a

/**
 * `isWhole`: else it had more than `maxBytes`, and this is the beginning and the end of it. `hasEnd`: else nothing more came, and this
 * need not be all of it.
 */
export type Line = { text: string; isWhole: boolean; hasEnd: boolean }

/** Cuts what a process writes into lines, and never holds more than `maxBytes` of one and a chunk. */
export class Lines {
  readonly #maxBytes: number
  #parts: Uint8Array[] = []
  #size = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** The lines that end in this chunk. */
  *push(chunk: Uint8Array): Generator<Line> {
    let from = 0
    for (let end; (end = chunk.indexOf(NEWLINE, from)) >= 0; from = end + 1) {
      this.#add(chunk.subarray(from, end))
      yield this.#take(true)
    }
    this.#add(chunk.subarray(from))
  }

  /** What was written last, and has no end. */
  rest(): Line | undefined {
    return this.#size === 0 ? undefined : this.#take(false)
  }

  #add(part: Uint8Array) {
    if (part.byteLength === 0) return
    this.#size += part.byteLength
    this.#parts.push(part)
    if (this.#size <= this.#maxBytes) return
    const all = Buffer.concat(this.#parts)
    const head = all.subarray(0, KEPT_BYTES)
    const tail = all.subarray(Math.max(head.byteLength, all.byteLength - KEPT_BYTES))
    this.#parts = [Buffer.from(head), Buffer.from(tail)]
  }

  #take(hasEnd: boolean): Line {
    const text = Buffer.concat(this.#parts).toString('utf8')
    const isWhole = this.#size <= this.#maxBytes
    this.#parts = []
    this.#size = 0
    return { text, isWhole, hasEnd }
  }
}
