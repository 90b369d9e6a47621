// For authors of a store: what it is asked, and what it answers. `@mcp-durable/core/testing/store` has its contract as tests
export type { Store, StoreOptions } from './store.js'
export type { MembershipStore, NodeBeat } from './membership.js'
export { ASLEEP, isParked, NOBODY } from './takeover.js'
export type { Claim, Claimed, OpenCall, TakeoverStore } from './takeover.js'
export type { DueCall, DueCallsStore } from './due-calls.js'
export { isDurability, notDurable, strongest } from './durability.js'
export type { Durability, DurabilityStore } from './durability.js'
export type { FullQuotas, PlaceOwner, Quota, QuotaStore, Turn } from './quotas.js'
export type {
  ContextStore,
  MapChange,
  MapRange,
  NewScope,
  StoredValue,
  WriteOptions,
} from './context-store.js'
export type { Forgotten, HistoryEntry, HistoryPage, HistoryStore, Keeping } from './history.js'
export type { Admission, NewSession, SessionLimits, StateEntry, StoredSession } from './store.js'
export type { AppendOptions, CallAppended, CloseCall, NewCall, NewEntry, OpenedCall } from './store.js'
export type { Appended, QuietlyAppended, Unwatch, ValueChange, WatchListener } from './store.js'

// Entries of logs
export { BEGINNING, compareIds, OLDEST } from './entries.js'
export type { Entry, EntryId, LogName, SharedLog } from './entries.js'

// How it fails
export { StoreError } from '../errors.js'
export type { StoreErrorCode } from '../errors.js'
