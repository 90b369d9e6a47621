import type { Receipt } from './call-log.js'
import type { ErrorClass } from './error-codec.js'
import type { Check } from './standard-schema.js'

const unheard = () => undefined

/**
 * A step under way. What its work comes to reaches it by calls, not by promises: on Node.js 20 each promise costs a
 * step more than its share of the store. Settles once; what comes later is ignored.
 */
export class Step implements Receipt {
  readonly promise: Promise<unknown>
  /** By `performance.now()`. */
  readonly beganAt = performance.now()
  #resolve!: (value: unknown) => void
  #reject!: (error: unknown) => void
  #leave: (() => void) | undefined
  #value: unknown

  constructor(
    /** The steps of its call. */
    readonly owner: object,
    readonly id: string,
    /** With its key. */
    readonly name: string,
    readonly check: Check,
    readonly classes: readonly ErrorClass[],
  ) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get ms() {
    return Math.round(performance.now() - this.beganAt)
  }

  /** Settles only after this; `leave` is called then. */
  joins(leave: () => void) {
    this.#leave = leave
  }

  /** Its value is in a record on its way. */
  gives(value: unknown) {
    this.#value = value
  }

  /** The record has arrived. */
  resolve() {
    this.succeed(this.#value)
  }

  reject(error: unknown) {
    this.fail(error)
  }

  succeed(value: unknown) {
    if (this.#settles()) this.#resolve(value)
  }

  /** A handler that fails leaves alone what it began beside: nobody may be there to hear it, and that must not end the process. */
  fail(reason: unknown) {
    if (!this.#settles()) return
    this.promise.catch(unheard)
    this.#reject(reason)
  }

  #settles() {
    const leave = this.#leave
    this.#leave = undefined
    leave?.()
    return leave !== undefined
  }
}
