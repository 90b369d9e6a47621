import { UnrecordableError } from '../errors.js'
import type { Durability } from '../store/durability.js'
import type { Receipt, StepKind } from './call-log.js'
import type { ErrorClass } from './error-codec.js'
import type { Settling } from './settle-order.js'
import type { Check } from './standard-schema.js'

const unheard = () => undefined

/** The steps of one call: they settle in an order. */
export interface StepOwner {
  ended(step: Step): void
  /** What it came to can't be recorded. */
  unrecordable(step: Step, error: UnrecordableError): void
}

/**
 * A step under way. What its work comes to reaches it by calls, not by promises: on Node.js 20 each promise costs a
 * step more than its share of the store. Settles once; what comes later is ignored.
 */
export class Step implements Receipt, Settling {
  readonly promise: Promise<unknown>
  /** Somebody beside the handler waits for its end. */
  isObserved = false
  /** What it came to was refused by the log. */
  isUnrecordable = false
  /** It only waits: for a time, in ms since 1970, or for its client. `undefined`: it does something. */
  waitsUntil: number | undefined
  /** By `performance.now()`. */
  readonly beganAt = performance.now()
  #resolve!: (value: unknown) => void
  #reject!: (error: unknown) => void
  #leave: (() => void) | undefined
  #outcome: unknown
  #failed = false

  constructor(
    readonly owner: StepOwner,
    readonly id: string,
    /** With its key. */
    readonly name: string,
    readonly kind: StepKind,
    readonly check: Check,
    readonly classes: readonly ErrorClass[],
    /** Of its records; `undefined`: as the store is set. */
    readonly durability: Durability | undefined,
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

  /** What it comes to, once its turn has come. */
  gives(value: unknown) {
    this.#outcome = value
  }

  throws(error: unknown) {
    this.#outcome = error
    this.#failed = true
  }

  /** What it comes to is recorded. */
  resolve() {
    this.owner.ended(this)
  }

  reject(error: unknown) {
    if (error instanceof UnrecordableError) this.owner.unrecordable(this, error)
    else this.fail(error)
  }

  settle() {
    if (this.#failed) this.fail(this.#outcome)
    else if (this.#settles()) this.#resolve(this.#outcome)
  }

  /** At once. A handler that fails leaves alone what it began beside: nobody may be there to hear it, and that must not end the process. */
  fail(reason: unknown) {
    if (!this.#settles()) return
    this.promise.catch(unheard)
    this.#reject(reason)
  }

  /**
   * Never settles: the handler has ended, so what still waits for it is what the handler forgot. Were it to fail, that would
   * fail with nobody to hear it, which ends the process.
   */
  abandon() {
    this.#settles()
  }

  #settles() {
    const leave = this.#leave
    this.#leave = undefined
    leave?.()
    return leave !== undefined
  }
}
