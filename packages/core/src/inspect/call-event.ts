import type { Action } from '../call/record.js'
import type { Divergence } from '../context/divergence.js'
import type { EntryId } from '../store/store.js'

/** One request of a call, as its client knows it. */
export type RequestSummary = { id: string | number; title: string }

/** `key` tells apart steps of one name; it may hold the user's data. */
export type StepName = { name: string; key: string | undefined }

/** Of what a call was made, or what was made of it: in place of a node, somebody who operates the server has opened it. */
export type MadeOf = { callId: string; action: Action; by: string }

/**
 * Something that happened to a call. All that clients, tools and users put into it is in `payload`; the rest says what
 * kind of thing it is. Times are ms since 1970 by the store's clock; `attempt` counts the runs, the first is 1. `version`: of the code of
 * the node, if that has one.
 */
export type CallEvent = { id: EntryId; at: number; attempt: number; payload?: unknown } & (
  | {
      kind: 'opened'
      node: string
      version: string | undefined
      protocol: string
      requests: RequestSummary[]
      of: MadeOf | undefined
    }
  | { kind: 'taken-over'; node: string; version: string | undefined; from: string | undefined }
  /** The node that took it over last could not run it. */
  | { kind: 'returned'; node: string }
  /** The code of that node does not fit its journal: no node runs it until other code, or an operator, goes on with it. */
  | { kind: 'diverged'; node: string; divergence: Divergence }
  /** No node runs it: it waits for its client, who may answer until `answerBy`; or it is woken at `wakeAt`; or it waits for its turn. */
  | { kind: 'parked'; node: string; answerBy: number | undefined; wakeAt: number | undefined }
  /** Somebody who operates the server has given it to the nodes. */
  | { kind: 'passed'; by: string; action: Action }
  /** That is over, or the call was `passed`: this node goes on with it. */
  | { kind: 'continued'; node: string; version: string | undefined; passed: boolean }
  /** It goes on as a task: its client asks for it by its name. */
  | { kind: 'task' }
  /** A body that runs at most once is about to begin, or may begin again after a failure. */
  | { kind: 'step-started' | 'step-cleared'; step: StepName }
  /** `ms`: how long the run that ended it was at it. */
  | { kind: 'step-done' | 'step-failed'; step: StepName; ms: number | undefined }
  /** It is about to do this where it can't be recorded as it is done: a change of the state of a principal, or of a handle. */
  | { kind: 'step-intended'; step: StepName }
  /** Until when the client may answer the question that `step` asks. */
  | { kind: 'deadline'; step: StepName; until: number }
  /** In a session it goes out as a request; else it is in the result of the request that hears of it. */
  | { kind: 'question'; question: string; title: string }
  /** Nobody waits for its answer any more. */
  | { kind: 'withdrawn'; question: string; title: string }
  /** Left in the inbox by whichever node the client reached. `ms`: since the question. */
  | { kind: 'answer'; question: string; title: string | undefined; refused: boolean; ms: number | undefined }
  /** `by`: who operates the server; else it is the client. */
  | { kind: 'cancel-asked'; by: string | undefined }
  /** Steps that sleep are to wake before their time. */
  | { kind: 'wake-asked'; by: string; steps: StepName[] }
  /** A call that fits the code of no node is to be tried again. */
  | { kind: 'retry-asked'; by: string }
  /** After its end: another call was made of it. */
  | ({ kind: 'became' } & MadeOf)
  | { kind: 'notification'; title: string; progress: number | undefined }
  /** The response to one request of a batch, while others still run. */
  | { kind: 'partial-response'; outcome: Outcome }
  | { kind: 'response'; outcome: Outcome; ms: number }
  | { kind: 'cancelled'; ms: number }
  /** It can't be read without the key: `sealed` says which one. */
  | { kind: 'sealed'; sealed: string }
  /** It is not as any version of this library writes it. */
  | { kind: 'unreadable' }
)

/** `tool-error`: a result with `isError`. `error`: an error of JSON-RPC. `unknown`: one of them, since it was interrupted and not run again. */
export type Outcome = 'result' | 'tool-error' | 'error' | 'unknown'
