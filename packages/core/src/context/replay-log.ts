import type { JsonRpcMessage, JsonRpcResponse } from '../json-rpc.js'
import type { LazyAbort } from '../lazy-abort.js'
import { endedOf, goBeyond, isPatch } from './call-log.js'
import type { CallLog, PendingStep, Receipt, StepRecord } from './call-log.js'
import { ReplayDivergedError } from './errors.js'

/** What a call has left when its handler has ended. */
export type FinishedCall = Pick<
  CallLog,
  | 'callId'
  | 'scope'
  | 'request'
  | 'caller'
  | 'attempt'
  | 'clientCapabilities'
  | 'logLevel'
  | 'timeAndChance'
  | 'divergesAfterMs'
> & {
  /** The newest record of each step, as `keepNewest` keeps them. */
  steps: ReadonlyMap<string, StepRecord>
  /** The notifications sent in all its runs, and in which step's body, as `CallLog.send` was told. */
  sent: readonly { message: JsonRpcMessage; step?: string | undefined }[]
  /** The ids of the steps that its last run has begun; those without an end had none when the handler ended. */
  begun: ReadonlySet<string>
  ending: Ending
}

/** How a handler ended. */
export type Ending = { result: unknown } | { error: unknown }

/**
 * A finished call, to be run again for comparison. It can only be read: a step that is not in the log stops the
 * replay before its body runs.
 */
export class ReplayLog implements CallLog {
  readonly callId: string
  readonly scope: string
  readonly request: CallLog['request']
  readonly caller: CallLog['caller']
  readonly attempt: number
  readonly clientCapabilities: Record<string, unknown>
  readonly logLevel: string | undefined
  readonly timeAndChance: CallLog['timeAndChance']
  readonly divergesAfterMs: number | undefined
  readonly stop: LazyAbort
  readonly asked = new Set<string>()
  readonly sent: JsonRpcMessage[] = []
  /** The step at which the replay had to stop. */
  newStep: string | undefined
  readonly #call: FinishedCall

  constructor(call: FinishedCall, stop: LazyAbort) {
    this.callId = call.callId
    this.scope = call.scope
    this.request = call.request
    this.caller = call.caller
    this.attempt = call.attempt
    this.clientCapabilities = call.clientCapabilities
    this.logLevel = call.logLevel
    this.timeAndChance = call.timeAndChance
    this.divergesAfterMs = call.divergesAfterMs
    this.stop = stop
    this.#call = call
  }

  step(id: string): StepRecord | PendingStep | undefined {
    this.asked.add(id)
    const record = this.#call.steps.get(id)
    if (record?.phase === 'done' || record?.phase === 'failed') return record
    if (isPatch(id)) return undefined
    return record || this.#call.begun.has(id) ? { phase: 'pending' } : this.#diverge(id)
  }

  endedSteps() {
    return endedOf(this.#call.steps.values())
  }

  goesBeyond(begun: ReadonlySet<string>) {
    return goBeyond(this.#call.steps.values(), begun)
  }

  /** What there is to say was said when the call ran. */
  tell() {}

  record({ id }: StepRecord, receipt: Receipt) {
    if (isPatch(id)) receipt.resolve('recorded')
    else receipt.reject(this.#diverged(id))
  }

  async send(message: JsonRpcMessage) {
    this.sent.push(message)
  }

  async ask(name: string): Promise<JsonRpcResponse> {
    return this.#diverge(name)
  }

  async withdraw(name: string) {
    this.#diverge(name)
  }

  #diverge(id: string): never {
    throw this.#diverged(id)
  }

  #diverged(id: string) {
    this.newStep ??= id
    const error = new ReplayDivergedError()
    // The handler may catch the error; nothing that it does after that says anything about it.
    this.stop.abort(error)
    return error
  }
}
