import type { EntryId } from '../store/store.js'

/** One request of a call, as its client knows it. */
export type RequestSummary = { id: string | number; title: string }

/** `key` tells apart steps of one name; it may hold the user's data. */
export type StepName = { name: string; key: string | undefined }

/**
 * Something that happened to a call. All that clients, tools and users put into it is in `payload`; the rest says what
 * kind of thing it is. Times are ms since 1970 by the store's clock; `attempt` counts the runs, the first is 1.
 */
export type CallEvent = { id: EntryId; at: number; attempt: number; payload?: unknown } & (
  | { kind: 'opened'; node: string; protocol: string; requests: RequestSummary[] }
  | { kind: 'taken-over'; node: string; from: string | undefined }
  /** The node that took it over last could not run it. */
  | { kind: 'returned'; node: string }
  /** A body that runs at most once is about to begin, or may begin again after a failure. */
  | { kind: 'step-started' | 'step-cleared'; step: StepName }
  /** `ms`: how long the run that ended it was at it. */
  | { kind: 'step-done' | 'step-failed'; step: StepName; ms: number | undefined }
  /** Until when the client may answer the question that `step` asks. */
  | { kind: 'deadline'; step: StepName; until: number }
  | { kind: 'question'; question: string; title: string }
  /** Left in the inbox by whichever node the client reached. `ms`: since the question. */
  | { kind: 'answer'; question: string; title: string | undefined; refused: boolean; ms: number | undefined }
  | { kind: 'cancel-asked' }
  | { kind: 'notification'; title: string; progress: number | undefined }
  /** The response to one request of a batch, while others still run. */
  | { kind: 'partial-response'; outcome: Outcome }
  | { kind: 'response'; outcome: Outcome; ms: number }
  | { kind: 'cancelled'; ms: number }
)

/** `tool-error`: a result with `isError`. `error`: an error of JSON-RPC. */
export type Outcome = 'result' | 'tool-error' | 'error'
