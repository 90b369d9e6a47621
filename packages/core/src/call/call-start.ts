import type { Divergence } from '../context/divergence.js'
import type { JsonRpcRequest } from '../json-rpc.js'
import type { Entry, EntryId } from '../store/store.js'
import type { EarlierRuns } from './earlier-runs.js'
import type { JournalServices } from './journal.js'
import type { BegunHandler, CallQuota, TaskTerms } from './record.js'

export type CallServices = JournalServices & {
  resumeWindowMs: number
  inputTtlMs: number
  divergesAfterMs?: number | undefined
  version?: string | undefined
}
export type CallStart = {
  scope: string
  id: string
  requests: readonly JsonRpcRequest[]
  /** Those under which it falls. */
  quotas: readonly CallQuota[]
  /** This node's first record: the request, or the claim of a call that was another's. */
  first: EntryId
  requestKeys: readonly string[]
  /** The first request key stands for the call also when that has ended. */
  keepKey: boolean
  /** The scope was made with the call, and goes with it. */
  endsScope: boolean
  /** What the request record says of a task. */
  task?: TaskTerms | undefined
  /** What the request record says of its handlers. */
  handlers?: readonly BegunHandler[] | undefined
  /** What earlier runs left: their records, and what has arrived in the inbox. */
  past?: { runs: EarlierRuns; inbox: readonly Entry[] } | undefined
}
/** Who owns calls is told of each. */
export type CallEvents = {
  /** Called when the client is asked something. */
  onAsked: () => void
  /** Called when this node lacks the key of something that the call needs. */
  onSealed: () => void
  /** Called when the code here does not fit its journal. `heard`: how far its inbox was read. */
  onDiverged: (divergence: Divergence, heard: EntryId) => void
  /** Called when nothing more will be appended by this node; `isRecorded`: the call has ended, for every node. */
  onEnded: (isRecorded: boolean) => void
}

/**
 * A call does nothing but wait, by `performance.now()` `since` then: for its client, who may answer until `answerBy`, or to be woken at
 * `wakeAt`; both in ms since 1970.
 */
export type Wait = { since: number; answerBy: number | undefined; wakeAt: number | undefined }

/** Where the journal and the inbox of a call stand. */
export type Standing = { last: EntryId; inbox: EntryId }
