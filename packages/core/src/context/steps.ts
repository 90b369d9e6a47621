import { digest } from '../ids.js'
import type { LazyAbort } from '../lazy-abort.js'
import { Members } from '../members.js'
import { runAttempt } from './attempt.js'
import type { Ending } from './attempt.js'
import { recorded } from './call-log.js'
import type { CallLog, Effect, PendingStep, StepRecord } from './call-log.js'
import { decodeValue, encodeValue, isItsOwnCopy } from './codec.js'
import { decodeError, encodeError } from './error-codec.js'
import type { ErrorClass } from './error-codec.js'
import { DuplicateStepError, NestedStepError, StepTimeoutError, StepValueError } from './errors.js'
import { currentScope, runInScope } from './async-scope.js'
import { isPromise } from './maybe-promise.js'
import type { MaybePromise } from './maybe-promise.js'
import { quietly } from './quietly.js'
import { accept } from './standard-schema.js'
import type { Check, Checked } from './standard-schema.js'
import { Step } from './step.js'
import type { StepBody, StepKey, StepRun } from './step-options.js'

export type StepSpec = StepKey & { check?: Check; classes?: readonly ErrorClass[] }
/**
 * What a step comes to: a value in its recorded form and as it is given out, or what it threw. `recorded`: a value that
 * is in the log already.
 */
export type Outcome = { encoded: string; value: unknown } | { error: unknown } | { recorded: unknown }

/** Does a step; `earlier`: what an earlier run has recorded of it. What it throws itself is not recorded. */
type Work = (step: Step, earlier: StepRecord | undefined) => MaybePromise<Outcome>
const currentStep = () => currentScope().step as Step | undefined

/**
 * The steps of one run of a call, by name.
 *
 * Invariant: what a step gives out, value or error, is the decoded form of what is in the log, so a
 * replay gives out the same. Nothing is given out before the log has acknowledged it.
 */
export class Steps {
  /** Of the context; its reason is a `CallStoppedError`. */
  readonly lifetime: LazyAbort
  readonly #log: CallLog
  readonly #used = new Set<string>()
  /** One listens for all: a call may take very many steps. */
  #underWay: Members<Step> | undefined

  constructor(log: CallLog, lifetime: LazyAbort) {
    this.#log = log
    this.lifetime = lifetime
  }

  /** The step of this call in whose body the code runs. */
  get current(): string | undefined {
    const current = currentStep()
    return current?.owner === this ? current.id : undefined
  }

  /** The ids of the steps that this run has begun, or found ended. */
  get begun(): ReadonlySet<string> {
    return this.#used
  }

  /**
   * Replays a step that has ended before; else `work` does it, and its end is recorded and given out. Rejects as soon
   * as the lifetime ends. A rejection that nobody hears does no harm.
   */
  run(name: string, spec: StepSpec, work: Work): Promise<unknown> {
    try {
      const step = this.#begin(name, spec)
      const earlier = this.#log.step(step.id)
      const observe = this.#log.observeStep
      if (!observe || isOver(earlier)) return this.#perform(step, earlier, work)
      // The key of a step may say more than its name should.
      const [publicName = ''] = step.id.split('\n', 1)
      return quietly(observe(publicName, () => this.#perform(step, earlier, work)))
    } catch (error) {
      return quietly(Promise.reject(error as Error))
    }
  }

  /** Throws when the call is over, or when the code runs in the body of a step. */
  guard(name: string) {
    this.lifetime.throwIfAborted()
    const current = currentStep()
    if (current?.owner === this) throw new NestedStepError(name, current.name)
  }

  /** Runs the body once. */
  attempt(step: Step, body: StepBody<unknown>, attempt: number, timeoutMs?: number): MaybePromise<Outcome> {
    try {
      const run = (ending: Ending) =>
        this.within(step, body, new BodyRun(this.#log.callId, step.id, ending, attempt))
      const late = (ms: number) => new StepTimeoutError(step.name, ms)
      const value = runAttempt(this.lifetime, timeoutMs, late, run)
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
  within<T, Arg = undefined>(step: Step, body: (arg: Arg) => T, arg: Arg): T {
    const { run, replay } = currentScope()
    return runInScope({ run, step, replay }, body, arg)
  }

  /** A value in its recorded form, or an error that names the step if it has none or does not fit. */
  outcome(step: Step, value: unknown): MaybePromise<Outcome> {
    try {
      const encoded = encodeStep(step, value)
      const given = this.#checked(step, isItsOwnCopy(value) ? value : decodeValue(encoded))
      if (!isPromise(given)) return { encoded, value: given }
      return given.then(
        (checked) => ({ encoded, value: checked }),
        (error: unknown) => ({ error }),
      )
    } catch (error) {
      return { error }
    }
  }

  /** Records a value together with an effect. False: the effect did not apply, nothing was recorded, and the step goes on. */
  async apply(step: Step, encoded: string, effect: Effect): Promise<boolean> {
    return (await recorded(this.#log, doneRecord(step, encoded), effect)) === 'recorded'
  }

  async mark({ id }: Step, phase: 'started' | 'cleared') {
    await recorded(this.#log, { id, phase })
  }

  #begin(name: string, { key, check = accept, classes = NO_CLASSES }: StepSpec): Step {
    if (name === '' || name.includes('\n')) throw new TypeError('The name of a step is one line of text.')
    const title = key === undefined ? name : `${name} (${key})`
    this.guard(title)
    const id = key === undefined ? name : `${name}\n${key}`
    if (this.#used.has(id)) throw new DuplicateStepError(title)
    this.#used.add(id)
    return new Step(this, id, title, check, classes)
  }

  #perform(step: Step, earlier: StepRecord | PendingStep | undefined, work: Work): Promise<unknown> {
    this.#follow(step)
    try {
      const outcome = this.#outcomeOf(step, earlier, work)
      if (isPromise(outcome)) {
        outcome.then(
          (settled) => this.#end(step, settled),
          (error: unknown) => step.fail(error),
        )
      } else this.#end(step, outcome)
    } catch (error) {
      step.fail(error)
    }
    return step.promise
  }

  /** When the lifetime ends the work goes on, but what it comes to is ignored. */
  #follow(step: Step) {
    step.joins((this.#underWay ??= this.#listen()).add(step))
  }

  #listen() {
    const underWay = new Members<Step>()
    const stopAll = () => {
      for (const step of underWay) step.fail(this.lifetime.reason)
    }
    this.lifetime.listen(stopAll)
    return underWay
  }

  #outcomeOf(step: Step, earlier: StepRecord | PendingStep | undefined, work: Work): MaybePromise<Outcome> {
    switch (earlier?.phase) {
      case 'done': {
        const value = this.#checked(step, decodeValue(earlier.value))
        return isPromise(value) ? value.then((checked) => ({ recorded: checked })) : { recorded: value }
      }
      case 'failed':
        throw decodeError(earlier.error, step.classes)
      case 'pending':
        return new Promise(() => undefined)
      default:
        return work(step, earlier)
    }
  }

  /** Records the end of a step, and gives it out. */
  #end(step: Step, outcome: Outcome) {
    try {
      if ('error' in outcome) return this.#fail(step, outcome.error)
      if ('recorded' in outcome) return step.succeed(outcome.recorded)
      step.gives(outcome.value)
      this.#log.record(doneRecord(step, outcome.encoded), step)
    } catch (error) {
      // What was thrown may have no recorded form at all.
      step.fail(error)
    }
  }

  /** What is given out is the recorded form; its stack is the original's while there is one. */
  #fail(step: Step, thrown: unknown) {
    const error = encodeError(thrown)
    const decoded = decodeError(error, step.classes)
    if (thrown instanceof Error && thrown.stack !== undefined) decoded.stack = thrown.stack
    const { id, ms } = step
    const receipt = { resolve: () => step.fail(decoded), reject: (lost: unknown) => step.fail(lost) }
    this.#log.record({ id, phase: 'failed', error, ms }, receipt)
  }

  #checked(step: Step, value: unknown): unknown {
    if (step.check === accept) return value
    const checked = checkStep(step, value)
    return isPromise(checked) ? checked.then((done) => valueOf(step, done)) : valueOf(step, checked)
  }
}

const NO_CLASSES: readonly ErrorClass[] = []
const isOver = (record: StepRecord | PendingStep | undefined) =>
  record?.phase === 'done' || record?.phase === 'failed' || record?.phase === 'pending'
const doneRecord = ({ id, ms }: Step, value: string) => ({ id, phase: 'done', value, ms }) as const

/** A class: an object with a getter of its own takes V8 a hidden class each, which outlives the step. */
class BodyRun implements StepRun {
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
