import { checkMs } from '../check-ms.js'
import type { ElicitResult, Root, SamplingResult } from './answers.js'
import type { CallLog, StepKind } from './call-log.js'
import { decodeValue } from './codec.js'
import type { ContextStore } from '../store/context-store.js'
import { Lifetime } from './lifetime.js'
import { MapChanges } from './map-changes.js'
import { Notifications } from './notifications.js'
import type { ContextNotification } from './notifications.js'
import { Handles } from './handles.js'
import { DEFAULT_LIMITS } from './limits.js'
import type { ContextLimits } from './limits.js'
import { stateOfPrincipal } from './principal-state.js'
import { checkNames } from '../known-options.js'
import { isAlone } from '../protocol.js'
import type { LogLevel } from '../protocol.js'
import { Patches } from './patches.js'
import { PatientStore } from './patient-store.js'
import { quietly } from './quietly.js'
import { Questions } from './questions.js'
import type { ElicitOptions, ElicitParams, QuestionOptions, SampleParams } from './questions.js'
import { atLeastOnce, atMostOnce } from './retrying.js'
import { stateInCall } from './session-state.js'
import type { SessionState } from './state-value.js'
import { SortedMap } from './sorted-map.js'
import type { InferOutput, StandardSchema } from './standard-schema.js'
import type { StepBody, StepKey, StepOptions } from './step-options.js'
import type { Step } from './step.js'
import { Steps } from './steps.js'
import type { StepSpec } from './steps.js'
import { TAIL_BYTES, uuid7Of } from './uuid7.js'

/** `begun`: the ids of the steps that were begun; `unfinished`: the names of those that had not ended, and would have had an effect. */
export type EndedHandler = { begun: ReadonlySet<string>; unfinished: readonly string[] }

/**
 * What a durable handler works with. The handler may be run again from its start, by another node: whatever it does to
 * the world, and whatever it learns of it that may differ next time, goes through here.
 *
 * - Steps are known by their name, one line of text; the names of one call differ, or have different `key`s. A step
 *   inside a step throws, and so does everything here once `signal` has fired.
 * - A step that has ended returns its recorded value or throws its recorded error, in every run.
 * - What a step returns is the decoded form of what was recorded, on the first run too. Plain data, dates, big
 *   ints, bytes, maps, sets and `undefined` can be recorded; functions and instances of classes cannot.
 * - What a step throws is recorded as name, message, code, data and cause. It is an instance of its class again if that
 *   is named in `retryable`, `nonRetryable` or `errors`, or is built in; else it is a `RecordedError`.
 */
export class DurableContext<Extra = unknown> {
  /** The id of this call of a tool, prompt or resource, the same in every run and on every node. */
  readonly callId: string
  /** 1 on the first run, one more on each further run. A takeover by a node that can't run the call does not count. */
  readonly attempt: number
  readonly #sdk: { extra?: Extra }
  readonly #lifetime: Lifetime
  readonly #steps: Steps
  readonly #questions: Questions
  readonly #notifications: Notifications
  readonly #patches: Patches
  readonly #store: ContextStore
  readonly #mapChanges: MapChanges
  readonly #log: CallLog
  readonly #limits: ContextLimits
  #state: SessionState | undefined
  #handle: Handles | undefined

  /** `sdk`: holds what the SDK gave to the handler, once that is known. */
  constructor(log: CallLog, store: ContextStore, sdk: { extra?: Extra }, limits = DEFAULT_LIMITS) {
    this.callId = log.callId
    this.attempt = log.attempt
    this.#sdk = sdk
    this.#lifetime = new Lifetime(log.stop)
    this.#steps = new Steps(log, this.#lifetime)
    log.waiting = () => this.#steps.waiting
    this.#questions = new Questions(log, this.#steps)
    this.#notifications = new Notifications(log, this.#steps)
    this.#patches = new Patches(log, this.#steps)
    const during = <T>(reading: Promise<T>) => this.#steps.during(reading)
    this.#store = new PatientStore(store, {
      lifetime: this.#lifetime,
      during,
      handBack: () => log.handBack?.() === true,
    })
    this.#mapChanges = new MapChanges(log.callId, this.#steps, limits.maxRecordBytes)
    this.#log = log
    this.#limits = limits
  }

  /**
   * The state of the session; see `SessionState`. Without a session (2026-07-28) it is that of the principal, and lives for
   * `sessionTtlMs` after its last use; where nobody is known who calls, each use rejects with a `NoPrincipalError`.
   */
  get state(): SessionState {
    const { request, scope } = this.#log
    return (this.#state ??= isAlone(request)
      ? stateOfPrincipal(this.#call)
      : stateInCall(this.#store, scope, this.#steps))
  }

  /** States that calls share whose caller passes an id, with a session or without; see `Handle`. */
  get handle(): Handles {
    const { caller } = this.#log
    return (this.#handle ??= new Handles({ ...this.#call, principal: caller.principal }))
  }

  get #call() {
    const { callId, caller } = this.#log
    return { callId, caller, store: this.#store, steps: this.#steps, limits: this.#limits }
  }

  /** Fires when the call is cancelled, moves to another node, or has ended. Its reason is a `CallStoppedError`. */
  get signal(): AbortSignal {
    return this.#lifetime.signal
  }

  /** The SDK's own last argument of the handler; only there in handlers that `durableTool` and the like have wrapped. */
  get extra(): Extra {
    return this.#sdk.extra as Extra
  }

  /**
   * Runs `body` until it succeeds or the policy ends, then records its value or its last error. Until that is recorded
   * the body may run again on another node, even after it has succeeded: give `idempotencyKey` to the service it calls.
   */
  atLeastOnce<Schema extends StandardSchema>(
    name: string,
    body: StepBody<unknown>,
    options: StepOptions<Schema> & { schema: Schema },
  ): Promise<InferOutput<Schema>>
  atLeastOnce<T>(name: string, body: StepBody<T>, options?: StepOptions<undefined>): Promise<T>
  atLeastOnce(name: string, body: StepBody<unknown>, options: StepOptions = {}): Promise<unknown> {
    return atLeastOnce(this.#steps, name, body, options)
  }

  /**
   * Runs `body` at most once: its start is recorded before, its end after. If the node ends in between, the step throws
   * `AtMostOnceFailedBeforeCompleting` from then on. An error that `retryable` matches must mean that the body took no
   * effect; the body is then run again by the policy. Any other error is recorded at once, and is what every later run
   * throws: `AtMostOnceFailedBeforeCompleting` never stands for an error that is known. (Systems in which a replay
   * throws it instead send the same code down two branches.)
   */
  atMostOnce<Schema extends StandardSchema>(
    name: string,
    body: StepBody<unknown>,
    options: StepOptions<Schema> & { schema: Schema },
  ): Promise<InferOutput<Schema>>
  atMostOnce<T>(name: string, body: StepBody<T>, options?: StepOptions<undefined>): Promise<T>
  atMostOnce(name: string, body: StepBody<unknown>, options: StepOptions = {}): Promise<unknown> {
    return atMostOnce(this.#steps, name, body, options)
  }

  /**
   * Asks the user, through the client. Throws `ClientCapabilityError` if the client can't be asked this, `QuestionRefusedError`
   * if it answers with an error, and `StepTimeoutError` after `timeoutMs`. So do `sample` and `listRoots`.
   */
  elicit<Schema extends StandardSchema>(
    name: string,
    params: ElicitParams,
    options: ElicitOptions<Schema> & { schema: Schema },
  ): Promise<ElicitResult<InferOutput<Schema>>>
  elicit(name: string, params: ElicitParams, options?: ElicitOptions<undefined>): Promise<ElicitResult>
  elicit(name: string, params: ElicitParams, options: ElicitOptions = {}): Promise<unknown> {
    return quietly(this.#questions.elicit(name, params, options))
  }

  /** Asks the client's model. */
  sample(name: string, params: SampleParams, options: QuestionOptions = {}): Promise<SamplingResult> {
    return quietly(this.#questions.sample(name, params, options) as Promise<SamplingResult>)
  }

  /** Asks the client for its roots. */
  listRoots(name: string, options: QuestionOptions = {}): Promise<{ roots: Root[] }> {
    return quietly(this.#questions.listRoots(name, options) as Promise<{ roots: Root[] }>)
  }

  /** Waits. The time to wake is recorded; a node that takes the call over waits for what is left. */
  sleep(name: string, ms: number, options: StepKey = {}): Promise<void> {
    return quietly(this.#sleep(name, ms, options))
  }

  /** The time in ms since 1970, as it was when this was first recorded. */
  now(name: string, options: StepKey = {}): Promise<number> {
    return this.#memoize('now', name, options, () => this.#steps.timeAndChance.now())
  }

  /** A UUID of version 7, the same in every run. */
  uuid7(name: string, options: StepKey = {}): Promise<string> {
    return this.#memoize('uuid7', name, options, ({ id }) => {
      const { timeAndChance } = this.#steps
      return uuid7Of(timeAndChance.now(), timeAndChance.randomBytes(TAIL_BYTES, id))
    })
  }

  /** A number from 0 up to but without 1, the same in every run. Not for secrets. */
  random(name: string, options: StepKey = {}): Promise<number> {
    return this.#memoize('random', name, options, ({ id }) => this.#steps.timeAndChance.random(id))
  }

  /**
   * Whether this call goes through a change of the code that has this name: true where no earlier run had gone beyond this point, false
   * where one had, by code without the change. Recorded, and the same in every run: `ctx.patched('fraud-check') ? await fresh(ctx) :
   * await old(ctx)`. It is asked outside of steps, and costs no round trip.
   */
  patched(name: string): boolean {
    return this.#patches.has(name)
  }

  /**
   * Tells the client how far the handler is, if it asked to be told. A number that is not above the last one is not sent.
   *
   * This, the log and `notify` resolve at once, unless much waits to be written: the message is sent when it is recorded.
   * They reject with an `UnrecordableError` if it can't be (`NotJsonError`, `RecordTooLargeError`, `BacklogError`).
   */
  progress(progress: number, total?: number, message?: string): Promise<void> {
    return this.#steps.beside(this.#notifications.progress(progress, total, message))
  }

  /** Sends a log message to the client, unless it wants none of this level. What of `data` is not JSON is sent as text. */
  log(level: LogLevel, data: unknown, logger?: string): Promise<void> {
    return this.#steps.beside(this.#notifications.log(level, data, logger))
  }

  debug(data: unknown, logger?: string) {
    return this.log('debug', data, logger)
  }

  info(data: unknown, logger?: string) {
    return this.log('info', data, logger)
  }

  notice(data: unknown, logger?: string) {
    return this.log('notice', data, logger)
  }

  warning(data: unknown, logger?: string) {
    return this.log('warning', data, logger)
  }

  error(data: unknown, logger?: string) {
    return this.log('error', data, logger)
  }

  critical(data: unknown, logger?: string) {
    return this.log('critical', data, logger)
  }

  alert(data: unknown, logger?: string) {
    return this.log('alert', data, logger)
  }

  emergency(data: unknown, logger?: string) {
    return this.log('emergency', data, logger)
  }

  /** Sends any other notification on the stream of the call. */
  notify(notification: ContextNotification): Promise<void> {
    return this.#steps.beside(this.#notifications.notify(notification))
  }

  /** A sorted map, whose changes apply once however often the call is run; see `SortedMap`. */
  map(name: string): SortedMap {
    return new SortedMap(this.#store, name, this.#mapChanges)
  }

  /**
   * The handler has ended: nothing more can be done here, and what it left running is told to stop. For the layers
   * below; a handler has no use for it.
   */
  end(): EndedHandler {
    const unfinished = this.#lifetime.aborted
      ? []
      : [...this.#steps.unfinished, ...this.#mapChanges.unfinished]
    this.#lifetime.end()
    return { begun: this.#steps.begun, unfinished }
  }

  /**
   * The handler has returned; throws a `DivergenceError` if it did not come to all that the journal of the call has. For the layers
   * below.
   */
  requireFit() {
    const missed = this.#lifetime.aborted ? undefined : this.#steps.missed
    if (!missed) return
    this.#steps.diverge(missed)
    throw missed
  }

  /** The handler has failed with this. For the layers below. */
  failed(error: unknown) {
    if (!this.#lifetime.aborted) this.#steps.warnings.threw(error, 'a durable handler failed')
  }

  async #sleep(name: string, ms: number, options: StepKey) {
    const specOf = () => {
      checkMs(`The time of the sleep ${JSON.stringify(name)}`, ms, Number.MAX_SAFE_INTEGER)
      return keyed('sleep', name, options)
    }
    await this.#steps.run(name, specOf, async (step, earlier) => {
      const wakeAt = earlier?.phase === 'done' ? decodeValue(earlier.value) : undefined
      const deadline = Number(wakeAt ?? (await this.#steps.deadline(step, ms)).deadline)
      step.waitsUntil = deadline
      await this.#until(deadline, step)
      step.waitsUntil = undefined
      return this.#steps.outcome(step, deadline)
    })
  }

  /** Or until the step is woken, in its turn as if its time had come. */
  async #until(deadline: number, step: Step) {
    let listenNoMore: (() => void) | undefined
    await new Promise<void>((resolve) => {
      const callOff = this.#steps.alarm(deadline, resolve)
      const wake = () => {
        // It is not to be parked until a time that does not matter any more.
        step.waitsUntil = undefined
        callOff()
        this.#steps.alarm(0, resolve)
      }
      listenNoMore = this.#log.whenWoken?.(step.id, wake)
    })
    listenNoMore?.()
  }

  #memoize<T>(kind: StepKind, name: string, options: StepKey, produce: (step: Step) => T): Promise<T> {
    const spec = () => keyed(kind, name, options)
    const value = this.#steps.run(name, spec, (step) => this.#steps.outcome(step, produce(step)))
    return value as Promise<T>
  }
}

/** A step that has no option but its key. */
function keyed(kind: StepKind, name: string, options: StepKey): StepSpec {
  checkNames(`The step "${name}"`, options, KEY)
  return { kind, key: options.key }
}

const KEY = ['key']
