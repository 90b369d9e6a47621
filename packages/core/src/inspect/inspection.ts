import type { CallPlace } from '../session/place.js'
import type { EntryId, LogName, StateEntry } from '../store/store.js'
import type { OpenCall } from '../store/takeover.js'
import type { TimedEntry } from './timeline.js'

/**
 * What people who operate servers see of a store. Nothing is written, and what may be long is read by pages. All times are in ms; those
 * since 1970 by the store's clock. Each operation throws a `StoreError` where the store can't be read.
 */
export interface Inspection {
  readonly nodes: NodesInspection
  readonly sessions: SessionsInspection
  readonly calls: CallsInspection
  readonly logs: LogsInspection
  readonly maps: MapsInspection
}

/** The nodes, and what each holds. */
export interface NodesInspection {
  /** Those that have beaten and were not removed. */
  list(): Promise<InspectedNode[]>
  /** The clock that heartbeats are measured by, since 1970. */
  clock(): Promise<number>
  /** Pages of the scopes that a node holds. A scope may come twice. */
  held(node: string): AsyncIterable<string[]>
}

/** Which sessions there are, and what is known of each. */
export interface SessionsInspection {
  /** How many there are; may count some that have just expired. */
  count(): Promise<number>
  /** Ids in the order of their expiry, the last one first: where all live equally long, the last used one. */
  newest(limit: number, skip?: number): Promise<string[]>
  /** Ids that begin with a text; up to 20. */
  find(beginning: string): Promise<string[]>
  /** Pages of the ids of sessions of which there is a history, be they live or not. An id may come twice. */
  kept(): AsyncIterable<string[]>
  /** The same, of the scopes that have a state: sessions, principals and handles. */
  stateful(): AsyncIterable<string[]>
  /** `undefined`: unknown, expired or deleted. */
  read(id: string): Promise<InspectedSession | undefined>
  openCalls(id: string): Promise<OpenCall[]>
  /** The client messages that make up its state, in the order of their versions; only these, where keys are named. */
  state(id: string, keys?: readonly string[]): Promise<TimedState[]>
  /** Session state that tools have set: values in the order of their keys, as they were written. */
  values(id: string): Promise<Array<{ key: string; version: number; data: string }>>
}

/** Which calls have a journal, open or ended. */
export interface CallsInspection {
  /** Ids of a session's calls, in no order. */
  of(scope: string): Promise<string[]>
  /** Calls whose ids begin with a text; up to 20. */
  find(beginning: string): Promise<CallPlace[]>
  /** All that are kept, by pages. A call may come twice. */
  all(): AsyncIterable<CallPlace[]>
  /** Those of a principal, in sessions or not, by pages: they are listed. A call may come twice. */
  ofPrincipal(principal: string): AsyncIterable<CallPlace[]>
  /** `undefined`: its session is gone. */
  read(place: CallPlace): Promise<InspectedCall | undefined>
}

/** Logs as they are, trimmed or not, whether or not their session is still there. */
export interface LogsInspection {
  /** Up to `limit` entries after an entry, oldest first; from the oldest one without `after`. `[]` for an unknown log. */
  read(scope: string, log: LogName, after: EntryId | undefined, limit: number): Promise<TimedEntry[]>
  /** The newest entries, oldest first. */
  newest(scope: string, log: LogName, limit: number): Promise<TimedEntry[]>
  /** How many entries it holds. */
  size(scope: string, log: LogName): Promise<number>
  /** Until it goes; `undefined` when it has gone, or has no expiry. */
  expiresInMs(scope: string, log: LogName): Promise<number | undefined>
}

/** The sorted maps that all sessions share. */
export interface MapsInspection {
  /** In order. */
  names(): Promise<string[]>
  size(name: string): Promise<number>
  /** A page of entries in the order of their keys, or against it; values as they were written. */
  read(name: string, page: MapPage): Promise<Array<[key: string, value: string]>>
}

export type InspectedNode = {
  node: string
  /** Since its last heartbeat; of no meaning when it is `left`. */
  lateMs: number
  /** It has shut down, or another one took it for dead. */
  left: boolean
  /** In how many scopes it may own calls. */
  scopes: number
  /** What it says about itself; `undefined` for a node of an older version. */
  about: string | undefined
  /** When it last beat, since 1970. */
  beatAt: number
}

/** A session without the messages it holds, or the scope of what belongs to none. */
export type InspectedSession = {
  id: string
  /** A client has begun it. */
  isSession: boolean
  principal: string | undefined
  /** What it was created with: the protocol version. */
  protocolVersion: string
  /** Since 1970; `undefined` for a session of an older version. */
  createdAt: number | undefined
  expiresInMs: number
  /** Version of the newest state entry. */
  version: number
  /** Up to which entry `out` was delivered. */
  delivered: string
  openCalls: OpenCall[]
  /** Messages that the standalone log holds. */
  standalone: number
}

/** `at`: when it was written, since 1970. */
export type TimedState = StateEntry & { at: number }

/** A call without what is in its journal. */
export type InspectedCall = CallPlace & {
  /** The node that runs it; `''`: none, it waits for its client; `undefined`: it has ended. */
  owner: string | undefined
  principal: string | undefined
  /** Of its session, or of its own where it belongs to none. */
  protocolVersion: string
  /** It belongs to a session: its scope is that. */
  inSession: boolean
}

/** `after`: a key. */
export type MapPage = { after?: string; reverse?: boolean; limit: number }
