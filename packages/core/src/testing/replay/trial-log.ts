import type { EarlierRuns } from '../../call/earlier-runs.js'
import { deadlineOf, endedOf, goBeyond, intentOf, isAccessory, isPatch } from '../../context/call-log.js'
import type { CallLog, PendingStep, Receipt, StepRecord } from '../../context/call-log.js'
import type { DivergenceError } from '../../context/errors.js'
import { digest } from '../../ids.js'
import { LazyAbort } from '../../lazy-abort.js'

type TrialOf = Pick<CallLog, 'callId' | 'scope' | 'request' | 'caller' | 'clientCapabilities' | 'logLevel'>

/** What stands behind the end of the journal never comes. */
export const never = new Promise<never>(() => undefined)

/**
 * The journal of a call that other code is tried against. Recorded steps give what was recorded; any other step begins, and comes
 * to nothing: no body runs, and nothing is written.
 */
export class TrialLog implements CallLog {
  readonly callId: string
  readonly scope: string
  readonly request: CallLog['request']
  readonly caller: CallLog['caller']
  readonly attempt: number
  readonly clientCapabilities: Record<string, unknown>
  readonly logLevel: string | undefined
  readonly stop = new LazyAbort()
  /** Ended steps of the journal that the code came to, in that order. */
  readonly reached: string[] = []
  /** Steps that the code came to and of which the journal has no end, in that order. */
  readonly beyond: string[] = []
  /** Where the code does not fit the journal, whatever the handler makes of the error. */
  parting: DivergenceError | undefined
  /** When it came to a step last, by `performance.now()`. */
  steppedAt = performance.now()
  readonly #steps: ReadonlyMap<string, StepRecord>
  /** Ids of questions that steps have asked. */
  readonly #asked: ReadonlySet<string>

  constructor(of: TrialOf, runs: EarlierRuns) {
    this.callId = of.callId
    this.scope = of.scope
    this.request = of.request
    this.caller = of.caller
    this.attempt = runs.attempt
    this.clientCapabilities = of.clientCapabilities
    this.logLevel = of.logLevel
    this.#steps = runs.steps
    this.#asked = new Set(runs.sent.questionIds.filter((id) => id.startsWith(`${of.callId}.n`)))
  }

  /** Ended steps of the journal that the code did not come to, in the order in which they ended. */
  get missing(): string[] {
    const reached = new Set(this.reached)
    return this.endedSteps().filter((id) => !reached.has(id))
  }

  /** Steps that the journal knows nothing of. */
  get unknown(): string[] {
    return this.beyond.filter((id) => !this.#hasBegun(id))
  }

  step(id: string): StepRecord | PendingStep | undefined {
    const record = this.#steps.get(id)
    if (isAccessory(id)) return record
    this.steppedAt = performance.now()
    const hasEnded = record?.phase === 'done' || record?.phase === 'failed'
    if (hasEnded) this.reached.push(id)
    else this.beyond.push(id)
    return hasEnded ? record : { phase: 'pending' }
  }

  endedSteps() {
    return endedOf(this.#steps.values())
  }

  goesBeyond(begun: ReadonlySet<string>) {
    const expected = new Set([...begun].map((id) => this.#questionOf(id)))
    return goBeyond(this.#steps.values(), begun) || [...this.#asked].some((id) => !expected.has(id))
  }

  diverge(error: DivergenceError) {
    this.parting ??= error
  }

  tell() {
    // What a trial comes to is in its report.
  }

  /** Nobody else does anything that is recorded: patches cost nothing, and steps don't begin. */
  record({ id }: StepRecord, receipt: Receipt) {
    if (isPatch(id)) receipt.resolve('recorded')
    else this.beyond.push(isAccessory(id) ? id.slice(id.indexOf('\n', 1) + 1) : id)
  }

  async send() {
    // The client has heard it, or would hear it of a node.
  }

  ask() {
    return never
  }

  withdraw() {
    return never
  }

  #hasBegun(id: string) {
    const records = [id, deadlineOf(id), intentOf(id)]
    return records.some((each) => this.#steps.has(each)) || this.#asked.has(this.#questionOf(id))
  }

  #questionOf(id: string) {
    return `${this.callId}.n${digest(id)}`
  }
}
