import { decodeValue } from './codec.js'
import type { DivergenceError } from './errors.js'
import type { StepKind } from './step-kind.js'
import type { TimeAndChance } from './time-and-chance.js'
import type { Durability } from '../store/durability.js'
import type { LazyAbort } from '../lazy-abort.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'

export type { StepKind } from './step-kind.js'

/** Who has sent a request. `isUser`: principals tell people apart, and not only the applications that they use. */
export type Caller = { principal: string | undefined; isUser: boolean }

/**
 * What the durable context needs of the call it runs in. The call layer implements it; nothing here
 * knows of journals, sessions or HTTP.
 */
export interface CallLog {
  readonly callId: string
  /** The scope whose keys the call lives among: its session state is kept there. */
  readonly scope: string
  readonly request: JsonRpcRequest
  readonly caller: Caller
  /** 1 on the first run, one more with every takeover. */
  readonly attempt: number
  /** Aborts when the call is cancelled, moved to another node, or its session is gone. */
  readonly stop: LazyAbort
  /** What the client can do, from its `initialize`. */
  readonly clientCapabilities: Record<string, unknown>
  /** Below this level the client wants no log messages; `undefined`: it wants all. */
  readonly logLevel: string | undefined
  /** Under which progress is kept for whoever asks for the task, if its client has not asked to be told of it. */
  readonly taskToken?: string | undefined
  /** This node lacks the key of what the handler needs: the call stops here. False: it can't go on elsewhere. */
  handBack?(): boolean
  /** The code does not fit the journal: the call stops here, with no answer. Not there in replays for comparison. */
  diverge?(error: DivergenceError): void
  /**
   * For how long a new step waits until the code has come to all recorded ones, and a recorded one for those that ended before it. Not
   * there: a little longer than `patienceMs`, and as long.
   */
  readonly divergesAfterMs?: number | undefined
  /** Of the code that has run the call last, and of that of this node. */
  readonly versions?: { recordedBy?: string | undefined; version?: string | undefined }
  /** The handler needs what the client can't do. */
  lacks?(capability: string): void

  /** Not there: those of this process. */
  readonly timeAndChance?: TimeAndChance | undefined

  /** A line on the server's log about this call. Fields hold errors and names, no values. */
  tell(level: 'warn' | 'error', fields: object, message: string): void

  /** Set by the context: what the handler waits for, if it does nothing else as far as its steps say. */
  waiting?: () => Waiting | undefined

  /** Set by the context: a handler that was not wrapped, and so says nothing of its end, has answered. */
  answered?: (succeeded: boolean) => void

  /** There if somebody wants to know of steps: does the work of one, and tells how it went. */
  readonly observeStep?: (<T>(name: string, work: () => Promise<T>) => Promise<T>) | undefined

  /**
   * The newest record of a step from an earlier run; in this one no step is begun twice. A question that was asked and has
   * no record counts as started. `pending`: in replays for comparison only.
   */
  step(id: string): StepRecord | PendingStep | undefined
  /** The ids of the steps that earlier runs have ended, in the order in which they did. */
  endedSteps(): readonly string[]
  /** The ids of the steps of which earlier runs have recorded something, in their order; no patches. Not there in replays for comparison. */
  recordedSteps?(): readonly string[]
  /** Whether an earlier run has asked a question that is none of these. Not there in replays for comparison. */
  hasAskedBeyond?(begun: ReadonlySet<string>): boolean
  /** Whether an earlier run has recorded something of a step, or asked a question, that is none of these; patches count too. */
  goesBeyond(begun: ReadonlySet<string>): boolean
  /** Never throws: `receipt` is told all there is to say, now or later. */
  record(step: StepRecord, receipt: Receipt, effect?: Effect, durability?: Durability): void
  /** Rejects with a `StoreError` if the store can't make records so durable. Not in replays. */
  requireDurability?(durability: Durability): Promise<void>
  /** Calls `wake` once, now or later, if the sleep that the step is ends before its time; returns how to call it off. Not in replays. */
  whenWoken?(step: string, wake: () => void): () => void
  /**
   * Sends a notification to the client: once, however often the call is run. Resolves before it is recorded, unless more
   * waits to be than a little; rejects with an `UnrecordableError`. `step`: the id of the step in whose
   * body it is sent. A later run may skip that body, so these messages are told apart from others of the same content.
   */
  send(message: JsonRpcMessage, step?: string): Promise<void>
  /**
   * Asks the client: once, however often the call is run. `name` tells the questions of a call apart.
   * An answer that came while no node ran the call is given at once. Rejects when `signal` or the call's own fires.
   */
  ask(
    name: string,
    question: { method: string; params?: Record<string, unknown> },
    signal?: AbortSignal,
  ): Promise<JsonRpcResponse>
  /** Tells the client that nobody waits for the answer to a question any more: once, and only if it was asked. */
  withdraw(name: string, reason: string): Promise<void>
}

/**
 * A handler does nothing but wait, by `performance.now()` `since` then: for answers to so many questions, or `until` the first of
 * its times, in ms since 1970; `Infinity`: for none.
 */
export type Waiting = { since: number; until: number; questions: number }

/** Hears what has become of a record, once. There are very many of them: a call costs less than a promise does. */
export interface Receipt {
  /** The record is acknowledged. `conflict`: its effect did not apply, and nothing was recorded. */
  resolve(outcome: 'recorded' | 'conflict'): void
  /** This node may not write to the call any more; nothing was changed. */
  reject(error: unknown): void
}

/** For who waits for the record. */
export function recorded(log: CallLog, step: StepRecord, durability?: Durability): Promise<unknown> {
  return new Promise((resolve, reject) => log.record(step, { resolve, reject }, undefined, durability))
}

/**
 * One entry in the life of a step. `id` is the step's name, with its `key` if it has one. Records of earlier versions have
 * no `kind`; nor have those of deadlines, which are no steps of the handler.
 */
export type StepRecord = { id: string; kind?: StepKind } & (
  | { phase: 'started' }
  /** An at-most-once body that failed in a way that may be tried again. */
  | { phase: 'cleared' }
  /** `ms`: how long the run that ended it was at it. */
  | { phase: 'done'; value: string; ms?: number }
  | { phase: 'failed'; error: string; ms?: number }
)

/** When a question or a sleep is over, as `done` with the time in ms since 1970; recorded when it is first begun. */
export const deadlineOf = (id: string) => `\ndeadline\n${id}`
/** What a step is about to do where it can't be recorded as it is done; as `done`. The newest counts. */
export const intentOf = (id: string) => `\nintent\n${id}`
/** Whether a call goes through a change of its code; as `done`. */
export const patchOf = (name: string) => `${PATCH}${name}`
const PATCH = '\npatch\n'
export const isPatch = (id: string) => id.startsWith(PATCH)
export const patchedIn = (record: StepRecord | PendingStep | undefined) =>
  record?.phase === 'done' ? decodeValue(record.value) === true : undefined

/** As `CallLog.goesBeyond`, of records. */
export function goBeyond(records: Iterable<StepRecord>, begun: ReadonlySet<string>): boolean {
  for (const { id } of records) if (!begun.has(ownerOf(id))) return true
  return false
}

/** As `CallLog.recordedSteps`, of records. */
export function recordedOf(records: Iterable<StepRecord>): string[] {
  const steps = new Set<string>()
  for (const { id } of records) if (!isPatch(id)) steps.add(ownerOf(id))
  return [...steps]
}

/** The step that a record belongs to. */
const ownerOf = (id: string) => (isAccessory(id) && !isPatch(id) ? id.slice(id.indexOf('\n', 1) + 1) : id)

/** The record of something that belongs to a step, such as its deadline, or to none. */
export const isAccessory = (id: string) => id.startsWith('\n')

/** Keeps the newest record of each step; those that have ended stay in the order in which they did. */
export function keepNewest(steps: Map<string, StepRecord>, record: StepRecord) {
  steps.delete(record.id)
  steps.set(record.id, record)
}

/** The steps that have ended, in the order in which they did, of records kept by `keepNewest`. */
export function endedOf(steps: Iterable<StepRecord>): string[] {
  const ended: string[] = []
  for (const { id, phase } of steps) {
    if ((phase === 'done' || phase === 'failed') && !isAccessory(id)) ended.push(id)
  }
  return ended
}

/** A step that had not ended when the handler did; it does not end in the replay either. */
export type PendingStep = { phase: 'pending' }

/** A change of session state that happens together with its record, or not at all. */
export type Effect = {
  key: string
  /** The version it was computed from; 0: there was none. */
  expected: number
  /** `undefined` deletes it. */
  data: string | undefined
}
