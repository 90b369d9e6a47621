import { digest } from '../ids.js'
import { runAttempt } from './attempt.js'
import type { CallLog, Effect, StepRecord } from './call-log.js'
import { decodeValue, encodeValue } from './codec.js'
import { decodeError, encodeError } from './error-codec.js'
import type { ErrorClass } from './error-codec.js'
import { DuplicateStepError, NestedStepError, StepTimeoutError, StepValueError } from './errors.js'
import { currentScope, runInScope } from './async-scope.js'
import { isPromise } from './maybe-promise.js'
import type { MaybePromise } from './maybe-promise.js'
import { accept } from './standard-schema.js'
import type { Check, Checked } from './standard-schema.js'
import type { StepBody, StepKey, StepRun } from './step-options.js'
import { untilAborted } from './timers.js'

/** A step under way. */
export type Step = {
  id: string
  name: string
  check: Check
  classes: readonly ErrorClass[]
  /** By `performance.now()`. */
  beganAt: number
}
export type StepSpec = StepKey & { check?: Check; classes?: readonly ErrorClass[] }
/** How a step ends: with a value in its recorded form and as it is given out, or with what it threw. */
export type Outcome = { encoded: string; value: unknown } | { error: unknown }

/** Does a step; `earlier`: what an earlier run has recorded of it. */
type Work = (step: Step, earlier: StepRecord | undefined) => Promise<unknown>
type Inside = { owner: Steps; step: Step }
const currentStep = () => currentScope().step as Inside | undefined

/**
 * The steps of one run of a call, by name.
 *
 * Invariant: what a step gives out, value or error, is the decoded form of what is in the log, so a
 * replay gives out the same. Nothing is given out before the log has acknowledged it.
 */
export class Steps {
  /** Its reason is a `CallStoppedError`. */
  readonly signal: AbortSignal
  readonly #log: CallLog
  readonly #used = new Set<string>()

  constructor(log: CallLog, signal: AbortSignal) {
    this.#log = log
    this.signal = signal
  }

  /** The step of this call in whose body the code runs. */
  get current(): string | undefined {
    const current = currentStep()
    return current?.owner === this ? current.step.id : undefined
  }

  /** The ids of the steps that this run has begun, or found ended. */
  get begun(): ReadonlySet<string> {
    return this.#used
  }

  /** Replays a step that has ended before; else `work` does it and records its end. */
  run(name: string, spec: StepSpec, work: Work): Promise<unknown> {
    return untilAborted(this.signal, () => {
      const step = this.#begin(name, spec)
      const earlier = this.#log.step(step.id)
      switch (earlier?.phase) {
        case 'done':
          return Promise.resolve(this.#replay(step, earlier.value))
        case 'failed':
          throw decodeError(earlier.error, step.classes)
        case 'pending':
          return new Promise(() => undefined)
        default:
          return this.#log.observeStep ? this.#observed(step, earlier, work) : work(step, earlier)
      }
    })
  }

  /** Throws when the call is over, or when the code runs in the body of a step. */
  guard(name: string) {
    this.signal.throwIfAborted()
    const current = currentStep()
    if (current?.owner === this) throw new NestedStepError(name, current.step.name)
  }

  /** Runs the body once. */
  attempt(step: Step, body: StepBody<unknown>, attempt: number, timeoutMs?: number): MaybePromise<Outcome> {
    const { callId } = this.#log
    const timeout = { ms: timeoutMs, late: (ms: number) => new StepTimeoutError(step.name, ms) }
    try {
      const value = runAttempt(this.signal, timeout, (signal) =>
        this.within(step, () => body(new BodyRun(callId, step.id, signal, attempt))),
      )
      if (!isPromise(value)) return this.outcome(step, value)
      return Promise.resolve(value).then(
        (settled) => this.outcome(step, settled),
        (error: unknown) => ({ error }),
      )
    } catch (error) {
      return { error }
    }
  }

  /** Runs code as the body of a step, in which no other step may begin. */
  within<T>(step: Step, body: () => T): T {
    const inside: Inside = { owner: this, step }
    return runInScope({ ...currentScope(), step: inside }, body)
  }

  /** A value in its recorded form, or an error that names the step if it has none or does not fit. */
  outcome(step: Step, value: unknown): MaybePromise<Outcome> {
    try {
      const encoded = encodeStep(step, value)
      const replayed = this.#replay(step, encoded)
      if (!isPromise(replayed)) return { encoded, value: replayed }
      return Promise.resolve(replayed).then(
        (checked) => ({ encoded, value: checked }),
        (error: unknown) => ({ error }),
      )
    } catch (error) {
      return { error }
    }
  }

  /** Records an end, and gives it out. */
  async end(step: Step, outcome: Outcome): Promise<unknown> {
    if ('error' in outcome) return this.fail(step, outcome.error)
    await this.record(step, outcome)
    return outcome.value
  }

  /** Records a value. */
  record(step: Step, { encoded }: { encoded: string }) {
    return this.#log.record({ id: step.id, phase: 'done', value: encoded, ms: sinceBegun(step) })
  }

  /** Records a value together with an effect. False: the effect did not apply, nothing was recorded, and the step goes on. */
  async apply(step: Step, encoded: string, effect: Effect): Promise<boolean> {
    const done = { id: step.id, phase: 'done', value: encoded, ms: sinceBegun(step) } as const
    return (await this.#log.record(done, effect)) === 'recorded'
  }

  /** Records what was thrown, and throws it in its recorded form; its stack is the original's while there is one. */
  async fail(step: Step, thrown: unknown): Promise<never> {
    const error = encodeError(thrown)
    await this.#log.record({ id: step.id, phase: 'failed', error, ms: sinceBegun(step) })
    const decoded = decodeError(error, step.classes)
    if (thrown instanceof Error && thrown.stack !== undefined) decoded.stack = thrown.stack
    throw decoded
  }

  async mark({ id }: Step, phase: 'started' | 'cleared') {
    await this.#log.record({ id, phase })
  }

  /** The key of a step may say more than its name should. */
  async #observed(step: Step, earlier: StepRecord | undefined, work: Work) {
    const [name = ''] = step.id.split('\n', 1)
    return this.#log.observeStep?.(name, () => untilAborted(this.signal, () => work(step, earlier)))
  }

  #begin(name: string, { key, check = accept, classes = [] }: StepSpec): Step {
    if (name === '' || name.includes('\n')) throw new TypeError('The name of a step is one line of text.')
    const title = key === undefined ? name : `${name} (${key})`
    this.guard(title)
    const id = key === undefined ? name : `${name}\n${key}`
    if (this.#used.has(id)) throw new DuplicateStepError(title)
    this.#used.add(id)
    return { id, name: title, check, classes, beganAt: performance.now() }
  }

  #replay(step: Step, encoded: string): unknown {
    const checked = checkStep(step, decodeValue(encoded))
    return isPromise(checked) ? checked.then((done) => valueOf(step, done)) : valueOf(step, checked)
  }
}

/** A class: an object with a getter of its own takes V8 a hidden class each, which outlives the step. */
class BodyRun implements StepRun {
  readonly #callId: string
  readonly #stepId: string

  constructor(
    callId: string,
    stepId: string,
    readonly signal: AbortSignal,
    readonly attempt: number,
  ) {
    this.#callId = callId
    this.#stepId = stepId
  }

  get idempotencyKey() {
    return digest(`${this.#callId}\n${this.#stepId}`)
  }
}

const sinceBegun = ({ beganAt }: Step) => Math.round(performance.now() - beganAt)

function encodeStep({ name }: Step, value: unknown): string {
  try {
    return encodeValue(value)
  } catch (cause) {
    throw new StepValueError(name, `cannot be recorded: ${messageOf(cause)}`, { cause })
  }
}

function checkStep({ name, check }: Step, value: unknown): MaybePromise<Checked> {
  const fail = (cause: unknown): never => {
    throw new StepValueError(name, `could not be checked: ${messageOf(cause)}`, { cause })
  }
  try {
    const checked = check(value)
    return isPromise(checked) ? checked.catch(fail) : checked
  } catch (cause) {
    return fail(cause)
  }
}

function valueOf({ name }: Step, checked: Checked): unknown {
  if ('problem' in checked) throw new StepValueError(name, checked.problem)
  return checked.value
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
