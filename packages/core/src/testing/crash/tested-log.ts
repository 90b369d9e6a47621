import { isAccessory } from '../../context/call-log.js'
import type { Effect, Receipt, StepRecord } from '../../context/call-log.js'
import { decodeError } from '../../context/error-codec.js'
import type { TimeAndChance } from '../../context/time-and-chance.js'
import { RequestLog } from '../../call/request-log.js'
import type { Params } from '../../json-rpc.js'
import type { Logger } from '../../logger.js'

const silent = () => undefined
const SILENT: Logger = { error: silent, warn: silent, info: silent, debug: silent }
/** What `AtMostOnceFailedBeforeCompleting` is known by. */
export const UNKNOWN = 'at-most-once-failed'

/** What is noted of a run. */
export class Notes {
  /** The ids of the steps that it has begun, in that order. */
  readonly begun: string[] = []
  /** For each, the step that had ended last when it began. */
  readonly behind = new Map<string, string | undefined>()
  /** A step has ended, in this run or before it, of which nobody knows what it has done. */
  hasUnknown = false
  /** Grows with whatever it does. */
  activity = 0
  #lastEnded: string | undefined

  begins(id: string) {
    this.activity++
    this.begun.push(id)
    this.behind.set(id, this.#lastEnded)
  }

  ended(id: string) {
    this.activity++
    this.#lastEnded = id
  }

  /** A record of a step, of this run or of one before. */
  look(record: StepRecord | undefined) {
    if (record?.phase !== 'failed') return
    const { code } = decodeError(record.error, []) as { code?: unknown }
    if (code === UNKNOWN) this.hasUnknown = true
  }
}

type Client = ConstructorParameters<typeof RequestLog>[1]
type Dispatched = ConstructorParameters<typeof RequestLog>[0]

/** The log of a call under test: as any, with notes of what the handler does, and a time of its own. */
export class TestedLog extends RequestLog {
  readonly notes = new Notes()
  /** Questions that have an answer, which has not come yet. */
  awaited = 0
  readonly #asks: (name: string, question: { method: string; params?: Params }) => boolean

  /** `asks`: told of a question before it is asked; whether it will be answered. */
  constructor(
    dispatched: Dispatched,
    client: Client,
    readonly timeAndChance: TimeAndChance,
    asks: (name: string, question: { method: string; params?: Params }) => boolean,
  ) {
    super(dispatched, client, {}, SILENT)
    this.#asks = asks
  }

  /** What a run comes to that the journal does not have is told of, wherever it is. */
  override recordedSteps() {
    return []
  }

  override hasAskedBeyond() {
    return false
  }

  override step(id: string) {
    const record = super.step(id)
    if (!isAccessory(id)) {
      this.notes.begins(id)
      this.notes.look(record)
    }
    return record
  }

  override record(step: StepRecord, receipt: Receipt, effect?: Effect) {
    this.notes.look(step)
    const resolve = (outcome: 'recorded' | 'conflict') => {
      if (!isAccessory(step.id) && (step.phase === 'done' || step.phase === 'failed'))
        this.notes.ended(step.id)
      receipt.resolve(outcome)
    }
    super.record(step, { resolve, reject: (error) => receipt.reject(error) }, effect)
  }

  override async ask(name: string, question: { method: string; params?: Params }, signal?: AbortSignal) {
    const isAnswered = this.#asks(name, question)
    if (isAnswered) this.awaited++
    try {
      return await super.ask(name, question, signal)
    } finally {
      if (isAnswered) this.awaited--
    }
  }
}
