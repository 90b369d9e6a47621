import { digest } from '../ids.js'
import type { Ending } from './attempt.js'
import type { StepRun } from './step-options.js'

/** What the body of a step is given. A class: an object with a getter of its own takes V8 a hidden class each, which outlives the step. */
export class BodyRun implements StepRun {
  readonly #callId: string
  readonly #stepId: string
  readonly #ending: Ending

  constructor(
    callId: string,
    stepId: string,
    ending: Ending,
    readonly attempt: number,
  ) {
    this.#callId = callId
    this.#stepId = stepId
    this.#ending = ending
  }

  get signal() {
    return this.#ending.signal
  }

  get idempotencyKey() {
    return digest(`${this.#callId}\n${this.#stepId}`)
  }
}
