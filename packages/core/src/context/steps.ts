import type { UnrecordableError } from '../errors.js'
import { Members } from '../members.js'
import { runAttempt } from './attempt.js'
import type { Ending } from './attempt.js'
import { Alarms } from './alarms.js'
import { BodyRun } from './body-run.js'
import { CatchUp } from './catch-up.js'
import { deadlineOf, intentOf, recorded } from './call-log.js'
import type { CallLog, Effect, PendingStep, StepKind, StepRecord, Waiting } from './call-log.js'
import { decodeValue, encodeValue, isItsOwnCopy } from './codec.js'
import { decodeError, encodeError } from './error-codec.js'
import type { ErrorClass } from './error-codec.js'
import {
  DivergenceError,
  DuplicateStepError,
  NestedStepError,
  StepTimeoutError,
  StepValueError,
} from './errors.js'
import type { Durability } from '../store/durability.js'
import { AsyncScope, currentScope, runInScope } from './async-scope.js'
import type { Lifetime } from './lifetime.js'
import { isPromise } from './maybe-promise.js'
import type { MaybePromise } from './maybe-promise.js'
import { quietly } from './quietly.js'
import { SettleOrder } from './settle-order.js'
import { accept } from './standard-schema.js'
import type { Check } from './standard-schema.js'
import { checkName } from './step-name.js'
import { checkStep, encodeStep, valueOf } from './step-value.js'
import { publicName, StepWarnings } from './step-warnings.js'
import { Step } from './step.js'
import type { StepOwner } from './step.js'
import { realTimeAndChance } from './time-and-chance.js'
import type { TimeAndChance } from './time-and-chance.js'
import type { StepBody, StepKey } from './step-options.js'
import { waitFor } from './timers.js'

export type StepSpec = StepKey & {
  kind: StepKind
  check?: Check
  classes?: readonly ErrorClass[]
  durability?: Durability | undefined
}
/** What a step comes to: a value in its recorded form and as it is given out, or what it threw. */
export type Outcome = { encoded: string; value: unknown } | { error: unknown }

/**
 * Does a step; `earlier`: what an earlier run has recorded of it. `ended`: it has recorded the end itself. What it throws
 * is not recorded.
 */
type Work = (step: Step, earlier: StepRecord | undefined) => MaybePromise<Outcome | 'ended'>
const currentStep = () => currentScope().step as Step | undefined

/**
 * The steps of one run of a call, by name.
 *
 * Invariant: what a step gives out, value or error, is the decoded form of what is in the log, so a
 * replay gives out the same, and in the same order. Nothing is given out before the log has acknowledged it.
 */
export class Steps implements StepOwner {
  /** Of the context; its reason is a `CallStoppedError`. */
  readonly lifetime: Lifetime
  /** What the server's log is told of them. */
  readonly warnings: StepWarnings
  readonly timeAndChance: TimeAndChance
  readonly #log: CallLog
  readonly #order: SettleOrder
  readonly #alarms: Alarms
  readonly #used = new Set<string>()
  readonly #catchUp: CatchUp
  /** When a step has ended last, by `performance.now()`: the code behind it may be doing something since. */
  #endedAt = 0
  /** One listens for all: a call may take very many steps. */
  #underWay: Members<Step> | undefined

  constructor(log: CallLog, lifetime: Lifetime) {
    this.#log = log
    this.lifetime = lifetime
    this.warnings = new StepWarnings(log)
    this.timeAndChance = log.timeAndChance ?? realTimeAndChance
    const { patienceMs } = this.timeAndChance
    const { divergesAfterMs = 0 } = log
    this.#order = new SettleOrder(log.endedSteps(), Math.max(divergesAfterMs, patienceMs), (ids) =>
      this.warnings.passedOver(ids),
    )
    this.#catchUp = new CatchUp(log, this.#used, log.divergesAfterMs ?? 2 * patienceMs, this.#order)
    this.#alarms = new Alarms(this.timeAndChance, (turn) => this.#order.ended(turn))
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
  run(name: string, spec: StepSpec | (() => StepSpec), work: Work): Promise<unknown> {
    try {
      checkName('step', name)
      const step = this.#begin(name, typeof spec === 'function' ? spec() : spec)
      const earlier = this.#log.step(step.id)
      this.#guardKind(step, earlier)
      this.#catchUp.comesTo(step.id)
      const isEnded = isOver(step, earlier)
      const fitting = isEnded || this.#catchUp.isOver ? work : this.#whenCaughtUp(work)
      const observe = this.#log.observeStep
      if (!observe || isEnded) return this.#perform(step, earlier, fitting)
      step.isObserved = true
      const observed = observe(publicName(step.id), () => this.#perform(step, earlier, fitting))
      return quietly(this.#unlessForgotten(observed))
    } catch (error) {
      if (!this.#isStopping(error)) this.warnings.unrecorded(name, error)
      return quietly(Promise.reject(error as Error))
    }
  }

  /** The names of steps that have an effect, or an answer, and have not ended. */
  get unfinished(): string[] {
    const steps = [...(this.#underWay ?? [])]
    return steps.filter(({ kind }) => kind !== 'sleep').map(({ id }) => publicName(id))
  }

  /** What is waited for, if all that is under way only waits. */
  get waiting(): Waiting | undefined {
    let since = this.#endedAt
    let until = Number.POSITIVE_INFINITY
    let questions = 0
    for (const { kind, waitsUntil, beganAt } of this.#underWay ?? []) {
      if (waitsUntil === undefined) return undefined
      since = Math.max(since, beganAt)
      until = Math.min(until, waitsUntil)
      if (kind !== 'sleep') questions++
    }
    return questions === 0 && until === Number.POSITIVE_INFINITY ? undefined : { since, until, questions }
  }

  /** Throws when the call is over, or when the code runs in the body of a step. `title`: the name with its key. */
  guard(name: string, title = name) {
    if (this.lifetime.ended) this.warnings.tooLate(name)
    this.lifetime.throwIfAborted()
    const current = currentStep()
    if (current?.owner === this) throw new NestedStepError(title, current.name)
  }

  /** What is done beside the steps: if it fails, the server's log hears of it, and nobody else need. */
  beside<T>(promise: Promise<T>): Promise<T> {
    promise.catch((error: unknown) => {
      if (!this.#isStopping(error)) this.warnings.besideSteps(error)
    })
    return promise
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
    return runInScope(new AsyncScope(run, step, replay), body, arg)
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

  /** Ends a step together with an effect. False: the effect did not apply, nothing was recorded, and the step goes on. */
  apply(
    step: Step,
    { encoded, value }: { encoded: string; value: unknown },
    effect: Effect,
  ): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const onOutcome = (outcome: 'recorded' | 'conflict') => {
        if (outcome === 'recorded') step.resolve()
        resolve(outcome === 'recorded')
      }
      step.gives(value)
      this.#log.record(doneRecord(step, encoded), { resolve: onOutcome, reject }, effect)
    })
  }

  async mark({ id, kind, durability }: Step, phase: 'started' | 'cleared') {
    await recorded(this.#log, { id, kind, phase }, durability)
  }

  /** Rejects with a `StoreError` if what the step asks for can't be had. */
  async requireDurability(durability: Durability) {
    await this.#log.requireDurability?.(durability)
  }

  ended(step: Step) {
    this.#endedAt = performance.now()
    this.#order.ended(step)
  }

  /** When the time of a step is up, in ms since 1970: recorded when it is first begun, and the same in every run. */
  async deadline({ id }: Step, ms: number): Promise<{ deadline: number; isOld: boolean }> {
    const earlier = this.#log.step(deadlineOf(id))
    // Earlier versions have recorded what is no number: that time is up.
    if (earlier?.phase === 'done') return { deadline: Number(decodeValue(earlier.value)) || 0, isOld: true }
    const deadline = this.timeAndChance.now() + ms
    await recorded(this.#log, { id: deadlineOf(id), phase: 'done', value: encodeValue(deadline) })
    return { deadline, isOld: false }
  }

  /** What an earlier run was about to do in a step, and may have done. */
  intent({ id }: Step): unknown {
    const earlier = this.#log.step(intentOf(id))
    return earlier?.phase === 'done' ? decodeValue(earlier.value) : undefined
  }

  /** Before a step does something whose repetition changes nothing: the next run will do the same. Resolves when it is recorded. */
  async intend({ id }: Step, intent: unknown) {
    await recorded(this.#log, { id: intentOf(id), phase: 'done', value: encodeValue(intent) })
  }

  /** What a handler reads beside its steps, and may wait for before it begins the next one. */
  during<T>(reading: Promise<T>): Promise<T> {
    return this.#catchUp.during(this.#order.during(reading))
  }

  /** Calls `action` when the time is up; returns how to call it off. Not before `notBefore`. */
  alarm(deadline: number, action: () => void | Promise<unknown>, notBefore?: number): () => void {
    return this.#alarms.add(deadline, action, notBefore)
  }

  /** Before the next attempt of a step; rejects when the lifetime ends. */
  pause(ms: number): Promise<void> {
    return waitFor(this.lifetime.signal, (done) => this.timeAndChance.startPause(ms, done))
  }

  #begin(name: string, { key, kind, check = accept, classes = NO_CLASSES, durability }: StepSpec): Step {
    const title = key === undefined ? name : `${name} (${key})`
    this.guard(name, title)
    const id = key === undefined ? name : `${name}\n${key}`
    if (this.#used.has(id)) throw new DuplicateStepError(title, kind)
    this.#used.add(id)
    return new Step(this, id, title, kind, check, classes, durability)
  }

  #perform(step: Step, earlier: StepRecord | PendingStep | undefined, work: Work): Promise<unknown> {
    this.#follow(step)
    if (earlier && isOver(step, earlier)) {
      this.#replay(step, earlier)
      return step.promise
    }
    try {
      const outcome = work(step, earlier as StepRecord | undefined)
      if (isPromise(outcome)) {
        outcome.then(
          (settled) => this.#end(step, settled),
          (error: unknown) => {
            this.#failUnrecorded(step, error)
            if (error instanceof DivergenceError) this.diverge(error)
          },
        )
      } else this.#end(step, outcome)
    } catch (error) {
      this.#failUnrecorded(step, error)
    }
    return step.promise
  }

  #failUnrecorded(step: Step, error: unknown) {
    if (!this.#isStopping(error)) this.warnings.unrecorded(step.id, error)
    step.fail(error)
  }

  #isStopping(error: unknown): boolean {
    return this.lifetime.aborted || error instanceof DivergenceError
  }

  #whenCaughtUp(work: Work): Work {
    return async (step, earlier) => {
      await this.#catchUp.until(publicName(step.id))
      this.lifetime.throwIfAborted()
      return await work(step, earlier)
    }
  }

  /** What the journal has and the handler, which has returned, did not come to. */
  get missed(): DivergenceError | undefined {
    return this.#catchUp.missed
  }

  /** The call stops here, whatever the handler makes of the error. */
  diverge(error: DivergenceError) {
    this.#log.diverge?.(error)
  }

  /** When the lifetime ends the work goes on, but what it comes to is ignored. */
  #follow(step: Step) {
    step.joins((this.#underWay ??= this.#listen()).add(step))
  }

  /** Who observes hears of the end of a step that the handler has forgotten; the handler does not, see `Step.abandon`. */
  #unlessForgotten(observed: Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      observed.then(resolve, (error: Error) => {
        if (!this.lifetime.ended) reject(error)
      })
    })
  }

  #listen() {
    const underWay = new Members<Step>()
    const stopAll = () => {
      this.#order.stop()
      this.#alarms.stop()
      this.#catchUp.stop()
      for (const step of underWay) {
        if (this.lifetime.ended && !step.isObserved) step.abandon()
        else step.fail(this.lifetime.reason)
      }
    }
    this.lifetime.listen(stopAll)
    return underWay
  }

  /** What has ended before; a step that had no end when the handler had has none in the replay either. */
  #replay(step: Step, earlier: StepRecord | PendingStep) {
    if (earlier.phase === 'pending') return
    const settle = () => this.#order.replayed(step.id, step)
    const give = (value: unknown) => {
      step.gives(value)
      settle()
    }
    const fail = (error: unknown) => {
      step.throws(error)
      settle()
    }
    try {
      if (earlier.phase === 'failed') return fail(decodeError(earlier.error, step.classes))
      const value = earlier.phase === 'done' ? this.#checked(step, decodeValue(earlier.value)) : undefined
      if (isPromise(value)) value.then(give, fail)
      else give(value)
    } catch (error) {
      fail(error)
    }
  }

  /** A record of another kind is not given out, and not lost: the code that wrote it finds it again. */
  #guardKind(step: Step, earlier: StepRecord | PendingStep | undefined) {
    if (!earlier || earlier.phase === 'pending') return
    const isMark = earlier.phase === 'started' || earlier.phase === 'cleared'
    const was = earlier.kind ?? (isMark ? 'body' : step.kind)
    const changed = was !== step.kind
    // Nothing settles in its place.
    if (!isMark && (changed || !isOver(step, earlier))) this.#order.replayed(step.id, NO_STEP)
    if (!changed) return
    const error = this.#catchUp.changed(publicName(step.id), was, step.kind)
    this.diverge(error)
    throw error
  }

  /** Records the end of a step, and gives it out. */
  #end(step: Step, outcome: Outcome | 'ended') {
    try {
      if (outcome === 'ended') return
      if ('error' in outcome) return this.#fail(step, outcome.error)
      step.gives(outcome.value)
      this.#log.record(doneRecord(step, outcome.encoded), step, undefined, step.durability)
    } catch (error) {
      // What was thrown may have no recorded form at all.
      this.#failUnrecorded(step, error)
    }
  }

  /** That is how the step ends, in every run; in this one only if that can't be recorded either, since its name is too long. */
  unrecordable(step: Step, cause: UnrecordableError) {
    const { name } = step
    const short = name.length > MOST_OF_A_NAME ? `${name.slice(0, MOST_OF_A_NAME)}…` : name
    const error = new StepValueError(short, `cannot be recorded: ${cause.message}`, { cause })
    if (step.isUnrecordable) return step.fail(error)
    step.isUnrecordable = true
    this.#fail(step, error)
  }

  /** What is given out is the recorded form; its stack is the original's while there is one. */
  #fail(step: Step, thrown: unknown) {
    const error = encodeError(thrown)
    const decoded = decodeError(error, step.classes)
    if (thrown instanceof Error && thrown.stack !== undefined) decoded.stack = thrown.stack
    const { id, kind, ms } = step
    if (!this.lifetime.aborted) this.warnings.endedWith(step, thrown, decoded)
    step.throws(decoded)
    this.#log.record({ id, kind, phase: 'failed', error, ms }, step, undefined, step.durability)
  }

  #checked(step: Step, value: unknown): unknown {
    if (step.check === accept) return value
    const checked = checkStep(step, value)
    return isPromise(checked) ? checked.then((done) => valueOf(step, done)) : valueOf(step, checked)
  }
}

const NO_CLASSES: readonly ErrorClass[] = []
/** In characters, in the message of an error: it is recorded too. */
const MOST_OF_A_NAME = 200
const NO_STEP = { settle: () => undefined }
const doneRecord = ({ id, kind, ms }: Step, value: string) =>
  ({ id, kind, phase: 'done', value, ms }) as const

function isOver({ kind }: Step, record: StepRecord | PendingStep | undefined): boolean {
  if (record?.phase === 'done') return kind !== 'sleep' || record.kind === 'sleep'
  return record?.phase === 'failed' || record?.phase === 'pending'
}
