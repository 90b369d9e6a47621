import type { CallLog } from './call-log.js'
import type { Step } from './step.js'
import { textOf } from '../errors.js'

/** The name of a step without its key, which may say more than should be seen. */
export const publicName = (id: string) => id.split('\n', 1)[0] ?? ''

const UNDECIDED = '`retryable` or `nonRetryable` of a step failed: what its body threw is not tried again'

const FAILED = 'a step failed'

/** What the server's log is told of the steps of a call. The stack of each error is there once. */
export class StepWarnings {
  readonly #log: CallLog
  /** Errors, and steps that have failed. */
  readonly #told = new WeakSet<object>()

  constructor(log: CallLog) {
    this.#log = log
  }

  /** The body of a step has failed; without `nextTryMs` it is not run again. */
  failed(step: Step, attempt: number, error: unknown, nextTryMs?: number) {
    const about = { step: publicName(step.id), stepAttempt: attempt }
    if (nextTryMs === undefined) {
      this.#told.add(step)
      return this.threw(error, FAILED, about)
    }
    const fields = { ...about, error: textOf(error), nextTryMs: Math.round(nextTryMs) }
    this.#log.tell('warn', fields, 'a step failed, and is tried again')
  }

  /** What the body threw ends the step. */
  undecided({ id }: Step, error: unknown) {
    this.threw(error, UNDECIDED, { step: publicName(id) })
  }

  threw(error: unknown, message: string, about: object = {}) {
    if (error instanceof Error) {
      if (this.#told.has(error)) return
      this.#told.add(error)
    }
    this.#log.tell('warn', { ...about, error }, message)
  }

  /** A step ends with what was thrown, and gives that out as it was recorded: it is the same error. */
  endedWith(step: Step, thrown: unknown, decoded: Error) {
    if (!this.#told.has(step)) this.unrecorded(step.id, thrown)
    this.#told.add(decoded)
  }

  /** It was not begun, or could not go on; `id` may be what a handler has given. */
  unrecorded(id: unknown, error: unknown) {
    this.threw(error, FAILED, { step: publicName(String(id)) })
  }

  /** What is no step, and is not said by one. */
  besideSteps(error: unknown) {
    this.threw(error, 'a use of the durable context failed')
  }

  /** Steps that ended before others, and that this run has not come to for long. */
  passedOver(ids: readonly string[]) {
    const steps = ids.map(publicName)
    this.#log.tell('warn', { steps }, 'a run did not come to steps that had ended before others')
  }

  tooLate(step: string) {
    this.#log.tell('warn', { step }, 'a step was begun after its handler had ended, and is not run')
  }
}
