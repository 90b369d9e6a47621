import type { RunStatus } from '@mcp-durable/core/inspect'
import type { SessionRow } from '../look/session-rows.js'

/** `gone`: it has shut down, or another one took it for dead, or its heartbeat is older than the lease. */
export type NodeState = 'alive' | 'late' | 'gone'

export type NodeRow = {
  node: string
  /** `host:pid`, if it says so. */
  place: string | undefined
  /** Of its code, if it says so. */
  version: string | undefined
  state: NodeState
  /** `undefined` where the heartbeat was never seen. */
  lateMs: number | undefined
  uptimeMs: number | undefined
  /** Open calls that it owns, among those looked at. */
  calls: number
  /** Sessions in which it may own calls, and calls without one. */
  scopes: number
}

export type CallRow = {
  callId: string
  scope: string
  /** Else it belongs to none, and the scope is its own. */
  inSession: boolean
  title: string
  /** Of the code that has run it last. */
  version: string | undefined
  isTask: boolean
  status: RunStatus
  owner: string
  ownerPlace: string | undefined
  /** False when the owner has no heartbeat. */
  owned: boolean
  ageMs: number
  attempt: number
  /** What happened last. */
  last: string
  lastMs: number
  waits: boolean
}

export type Takeover = { at: number; callId: string; title: string; to: string; from: string | undefined }

export type Rates = {
  callsPerSecond: number
  recordsPerSecond: number
  /** Since the monitor began. */
  takeovers: number
}

/** What the monitor shows of one moment. Times are ms since 1970 by the clock of the store. */
export type Snapshot = {
  at: number
  where: string
  nodes: NodeRow[]
  sessions: SessionRow[]
  totalSessions: number
  calls: CallRow[]
  rates: Rates
  takeovers: Takeover[]
  /** Why it is not of now: the store is away. */
  problem: string | undefined
}
