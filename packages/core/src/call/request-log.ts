import { endedOf, goBeyond, recordedOf } from '../context/call-log.js'
import type { CallLog, Effect, Receipt, StepRecord } from '../context/call-log.js'
import { CatchUp } from '../context/catch-up.js'
import { CallStoppedError } from '../context/errors.js'
import type { DivergenceError } from '../context/errors.js'
import { untilAborted } from '../context/timers.js'
import { UnrecordableError } from '../errors.js'
import { digest } from '../ids.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse, Params } from '../json-rpc.js'
import { LazyAbort } from '../lazy-abort.js'
import { linkedTo } from '../linked-signal.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import { sessionOf, SESSIONLESS } from '../protocol.js'
import type { Run } from '../signals/events.js'
import type { Signals } from '../signals/signals.js'
import type { Durability } from '../store/durability.js'
import { Call } from './call.js'
import type { DispatchTarget } from './call.js'

/** What the handler's side of a request knows of its client. */
export type Client = { readonly capabilities: Record<string, unknown>; readonly logLevel: string | undefined }
export type Dispatched = {
  id: string
  scope: string
  request: JsonRpcRequest
  target: DispatchTarget
  /** Whether the server object here has what is asked for; `undefined`: that can't be seen. */
  isRegistered: boolean | undefined
  caller: CallLog['caller']
  /** That the server object was told. */
  protocolVersion: string | undefined
}

/** Told of what a handler said or came to; with it goes the error, which has a stack. */
export const UNRECORDABLE = 'what a handler came to, or said, can’t be recorded'

/** What the handler of one dispatched request sees of its call; the members of a batch don't see each other. */
export class RequestLog implements CallLog {
  readonly callId: string
  readonly scope: string
  readonly request: JsonRpcRequest
  readonly caller: CallLog['caller']
  readonly attempt: number
  readonly target: DispatchTarget
  readonly observeStep: CallLog['observeStep']
  readonly #client: Client
  readonly #logger: Logger
  readonly #prefix: string
  readonly #isRegistered: boolean | undefined
  readonly #protocolVersion: string | undefined
  readonly stop = new LazyAbort()
  #stopped: string | undefined
  /** What the handler needed of the client that it can't do. */
  lacking: string | undefined
  /** Not there: the handler has no context, and nothing of it can be seen. */
  waiting: CallLog['waiting'] = undefined
  answered: CallLog['answered']

  constructor(
    { id, scope, request, target, isRegistered, caller, protocolVersion }: Dispatched,
    client: Client,
    { step }: Signals,
    logger: Logger,
  ) {
    this.callId = id
    this.scope = scope
    this.request = request
    this.caller = caller
    this.attempt = target instanceof Call ? target.attempt : 1
    this.target = target
    this.#client = client
    this.#logger = logger
    this.#isRegistered = isRegistered
    this.#protocolVersion = protocolVersion
    this.#prefix = target.requests.length === 1 ? '' : `${id.slice(target.id.length + 1)}/`
    this.observeStep = step && this.#observeBy(step)
  }

  /** This run, as hooks and telemetry know it. */
  get run(): Run {
    const { callId, scope, request, attempt } = this
    const { method } = request
    const isRegistered = this.#isRegistered
    const sessionId = sessionOf(scope, [request])
    const protocolVersion = sessionId === undefined ? SESSIONLESS : this.#protocolVersion
    return { sessionId, protocolVersion, callId, method, name: targetOf(request), isRegistered, attempt }
  }

  get clientCapabilities() {
    return this.#client.capabilities
  }

  get logLevel() {
    return this.#client.logLevel
  }

  get taskToken() {
    return this.target instanceof Call && this.target.isTask ? this.callId : undefined
  }

  lacks(capability: string) {
    this.lacking = capability
  }

  handBack(): boolean {
    if (!(this.target instanceof Call)) return false
    this.target.handBack()
    return true
  }

  diverge({ data, message }: DivergenceError) {
    const { target } = this
    // Of steps side by side, the first that parts has stopped the others.
    if (!(target instanceof Call) || this.stop.aborted) return
    this.tell('error', { ...data }, `DivergenceError: ${message}`)
    target.diverge(data)
  }

  /** Why what the server answers now is not what its handler has come to: an earlier run has begun that, and this one has not. */
  get refused(): DivergenceError | undefined {
    const { target, request } = this
    if (this.waiting || !(target instanceof Call) || target.isFirstRun) return undefined
    // What any other tool has recorded, and what has become of it since, is for `recover` to judge.
    if (request.method === 'tools/call' && target.handlerOf(request) !== 'durable') return undefined
    return new CatchUp(this, NONE, 0, NO_ORDER).refused
  }

  get versions() {
    return this.target instanceof Call ? this.target.versions : undefined
  }

  get divergesAfterMs() {
    return this.target instanceof Call ? this.target.divergesAfterMs : undefined
  }

  tell(level: 'warn' | 'error', fields: object, message: string) {
    const { scope, callId, request, attempt } = this
    const about = { session: shortId(scope), call: shortId(callId), name: targetOf(request), attempt }
    this.#logger[level]({ ...about, ...fields }, message)
  }

  /** The request was cancelled, or the call has left this node. */
  stopFor(reason: string) {
    this.#stopped ??= reason
    this.stop.abort(new Error(reason))
  }

  step(id: string): StepRecord | undefined {
    const step = this.target instanceof Call ? this.target.step(this.#prefix + id) : undefined
    return step && this.#prefix !== '' ? { ...step, id } : step
  }

  endedSteps(): readonly string[] {
    if (!(this.target instanceof Call)) return []
    const { stepRecords } = this.target
    return endedOf(this.#prefix === '' ? stepRecords : this.#ownSteps(stepRecords))
  }

  recordedSteps(): readonly string[] {
    if (!(this.target instanceof Call)) return []
    const { stepRecords } = this.target
    return recordedOf(this.#prefix === '' ? stepRecords : this.#ownSteps(stepRecords))
  }

  hasAskedBeyond(begun: ReadonlySet<string>): boolean {
    const { target } = this
    // A question does not say which request of a batch has asked it.
    if (!(target instanceof Call) || this.#prefix !== '') return false
    return target.questions.hasAskedBeyond([...begun])
  }

  goesBeyond(begun: ReadonlySet<string>): boolean {
    const { target } = this
    if (!(target instanceof Call)) return false
    const prefixed = [...begun].map((id) => this.#prefix + id)
    return goBeyond(this.#ownSteps(target.stepRecords), begun) || target.questions.hasAskedBeyond(prefixed)
  }

  *#ownSteps(steps: Iterable<StepRecord>) {
    for (const step of steps) {
      if (step.id.startsWith(this.#prefix)) yield { ...step, id: step.id.slice(this.#prefix.length) }
    }
  }

  /** Not held back when the request was stopped: what has happened is worth recording while the fence lets it in. */
  record(step: StepRecord, receipt: Receipt, effect?: Effect, durability?: Durability) {
    const { target } = this
    const named = this.#prefix === '' ? step : { ...step, id: this.#prefix + step.id }
    if (target instanceof Call) return target.recordStep(named, receipt, effect, durability)
    target.journaled().then(
      (call) => call.recordStep(named, receipt, effect, durability),
      (error: unknown) => receipt.reject(error),
    )
  }

  async requireDurability(durability: Durability) {
    const call = await this.target.journaled()
    await call.requireDurability(durability)
  }

  whenWoken(step: string, wake: () => void): () => void {
    return this.target instanceof Call ? this.target.sleeps.begin(this.#prefix + step, wake) : () => undefined
  }

  async send(message: JsonRpcMessage, step?: string) {
    this.#guard()
    const digested = step === undefined ? undefined : digest(this.#prefix + step)
    await this.target.send(message, digested).catch(this.#tell)
  }

  async ask(
    name: string,
    question: { method: string; params?: Params },
    signal: AbortSignal = this.stop.signal,
  ): Promise<JsonRpcResponse> {
    this.#guard()
    const call = await this.target.journaled()
    const { signal: stopped, unlink } = linkedTo(this.stop.signal, signal)
    try {
      const ask = () => call.questions.askByName(this.#prefix + name, question, stopped).catch(this.#tell)
      return await untilAborted(stopped, ask)
    } finally {
      unlink()
    }
  }

  /** As part of the step: a run that finds its end does not send it. */
  async withdraw(name: string, reason: string) {
    this.#guard()
    const call = await this.target.journaled()
    const cancelled = call.questions.withdrawal(this.#prefix + name, reason)
    if (cancelled) await this.send(cancelled, name)
  }

  readonly #tell = (error: unknown): never => {
    if (error instanceof UnrecordableError) this.tell('error', { error: error.cause ?? error }, UNRECORDABLE)
    throw error
  }

  #observeBy(observe: NonNullable<Signals['step']>): CallLog['observeStep'] {
    const { run } = this
    const isStopped = () => this.stop.aborted
    return (name, work) => observe(run, { name, isStopped }, work)
  }

  #guard() {
    if (this.#stopped !== undefined) throw new CallStoppedError(this.#stopped)
  }
}

const NONE: ReadonlySet<string> = new Set()
const NO_ORDER = { isHeldUp: false }

/** What the request is about, if it is a tool or a prompt. */
function targetOf({ method, params }: JsonRpcRequest): string | undefined {
  const name = method === 'tools/call' || method === 'prompts/get' ? params?.['name'] : undefined
  return typeof name === 'string' ? name : undefined
}
