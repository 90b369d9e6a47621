import { EarlierRuns } from '../call/earlier-runs.js'
import { decodeName } from '../call/question-names.js'
import { parseRecord } from '../call/record.js'
import type { CallRecord } from '../call/record.js'
import { isOutcomeUnknown } from '../session/recovery.js'
import type { CallPlace } from '../session/place.js'
import { readPages, within } from '../store/retry.js'
import type { Entry, Store } from '../store/store.js'
import { RunRefusedError } from './errors.js'

/** How a run has ended: as `listCalls` calls it, and in words. */
export type Ending = { status: 'completed' | 'failed' | 'unknown' | 'cancelled'; told: string }

/** How long the store may be away. */
const WITHIN_MS = 5000

/** What the journal of a run says. */
export class RecordedRun {
  readonly place: CallPlace
  readonly runs: EarlierRuns
  readonly entries: readonly Entry[]
  /** In the same places; `undefined`: written by a version of this library that knows more. */
  readonly records: readonly (CallRecord | undefined)[]

  private constructor(place: CallPlace, runs: EarlierRuns, entries: readonly Entry[]) {
    this.place = place
    this.runs = runs
    this.entries = entries
    this.records = entries.map(({ data }) => parseRecord(data))
  }

  /** Throws a `RunRefusedError` if there is no journal. */
  static async read(store: Store, { scope, callId }: CallPlace): Promise<RecordedRun> {
    const entries: Entry[] = []
    for await (const page of readPages(store, scope, `call:${callId}`, within(WITHIN_MS)))
      entries.push(...page)
    if (entries.length === 0) throw new RunRefusedError('run-gone', GONE)
    return new RecordedRun({ scope, callId }, await EarlierRuns.read([entries]), entries)
  }

  /** Ids of all that is recorded of steps, and of questions that were asked by a step, as far as these tell. */
  get steps(): string[] {
    const ids = this.records.flatMap((record) => {
      if (record?.kind === 'step') return record.step.id
      return record?.kind === 'question' && record.step !== undefined ? decodeName(record.step) : []
    })
    return [...new Set(ids)]
  }

  /** It was made of another one, and never handed to the nodes. */
  get isUnbegun(): boolean {
    const kinds = this.records.map((record) => record?.kind)
    return this.runs.request.of !== undefined && !kinds.includes('passed') && !kinds.includes('claim')
  }

  /** All that it begins with is there. */
  get isWhole(): boolean {
    return this.records.length > (this.runs.request.of?.copied ?? 0)
  }

  /** `undefined`: it is open. */
  get ending(): Ending | undefined {
    const last = this.records.at(-1)
    if (last?.kind === 'cancelled') return { status: 'cancelled', told: 'was cancelled' }
    if (last?.kind !== 'response') return undefined
    const { message } = last
    if (isOutcomeUnknown(message)) return { status: 'unknown', told: 'has ended, its outcome unknown' }
    if ('error' in message) return { status: 'failed', told: 'has ended with an error' }
    const { isError } = message.result as { isError?: unknown }
    return isError === true
      ? { status: 'failed', told: 'has ended with a tool error' }
      : { status: 'completed', told: 'has ended with a result' }
  }
}

const GONE =
  'there is no journal of this call: it never was, or has ended more than `resumeWindowMs` ago, or its session is over.'
