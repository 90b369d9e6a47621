import type { LazyAbort } from '../lazy-abort.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'

/**
 * What the durable context needs of the call it runs in. The call layer implements it; nothing here
 * knows of journals, sessions or HTTP.
 */
export interface CallLog {
  readonly callId: string
  /** The scope whose keys the call lives among: its session state is kept there. */
  readonly scope: string
  readonly request: JsonRpcRequest
  /** 1 on the first run, one more with every takeover. */
  readonly attempt: number
  /** Aborts when the call is cancelled, moved to another node, or its session is gone. */
  readonly stop: LazyAbort
  /** What the client can do, from its `initialize`. */
  readonly clientCapabilities: Record<string, unknown>
  /** Below this level the client wants no log messages; `undefined`: it wants all. */
  readonly logLevel: string | undefined

  /** There if somebody wants to know of steps: does the work of one, and tells how it went. */
  readonly observeStep?: (<T>(name: string, work: () => Promise<T>) => Promise<T>) | undefined

  /** The newest record of a step from an earlier run; in this one no step is begun twice. `pending`: in replays for comparison only. */
  step(id: string): StepRecord | PendingStep | undefined
  /** Never throws: `receipt` is told all there is to say, now or later. */
  record(step: StepRecord, receipt: Receipt, effect?: Effect): void
  /**
   * Sends a notification to the client: once, however often the call is run. `step`: the id of the step in whose
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

/** Hears what has become of a record, once. There are very many of them: a call costs less than a promise does. */
export interface Receipt {
  /** The record is acknowledged. `conflict`: its effect did not apply, and nothing was recorded. */
  resolve(outcome: 'recorded' | 'conflict'): void
  /** This node may not write to the call any more; nothing was changed. */
  reject(error: unknown): void
}

/** For who waits for the record. */
export function recorded(log: CallLog, step: StepRecord, effect?: Effect): Promise<'recorded' | 'conflict'> {
  return new Promise((resolve, reject) => log.record(step, { resolve, reject }, effect))
}

/** One entry in the life of a step. `id` is the step's name, with its `key` if it has one. */
export type StepRecord =
  | { id: string; phase: 'started' }
  /** An at-most-once body that failed in a way that may be tried again. */
  | { id: string; phase: 'cleared' }
  /** `ms`: how long the run that ended it was at it. */
  | { id: string; phase: 'done'; value: string; ms?: number }
  | { id: string; phase: 'failed'; error: string; ms?: number }

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
