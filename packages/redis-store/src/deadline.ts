import { DeadlineError } from './errors.js'

/** Timers of Node.js beyond it fire at once. */
const LONGEST_MS = 2 ** 31 - 1

/** The moment by which an operation has ended, however many commands it sends. */
export class Deadline {
  readonly #ms: number
  /** By `performance.now()`. */
  readonly at: number

  constructor(ms: number) {
    this.#ms = ms
    this.at = performance.now() + Math.min(ms, LONGEST_MS)
  }

  get passed() {
    return performance.now() >= this.at
  }

  error() {
    return new DeadlineError(`no answer within ${this.#ms} ms`)
  }

  /** Settles as `work` does, or rejects at the deadline; `work` may then settle as it likes. */
  within<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const expire = () => reject(this.error())
      // After a turn that took long, the answer may have arrived and not been read yet: let it be read first.
      const timer = setTimeout(() => setImmediate(expire), Math.max(0, this.at - performance.now()))
      timer.unref()
      work.then(resolve, reject).finally(() => clearTimeout(timer))
    })
  }
}
