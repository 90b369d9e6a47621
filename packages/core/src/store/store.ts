import type { ContextStore } from './context-store.js'
import type { Durability, DurabilityStore } from './durability.js'
import type { DueCallsStore } from './due-calls.js'
import type { Entry, EntryId, LogName, SharedLog } from './entries.js'
import type { HistoryStore, Keeping } from './history.js'
import type { MembershipStore } from './membership.js'
import type { QuotaStore } from './quotas.js'
import type { TakeoverStore } from './takeover.js'

export { BEGINNING, compareIds, OLDEST, splitId } from './entries.js'
export type { Entry, EntryId, LogName, SharedLog } from './entries.js'

/**
 * What the rest of the library asks of a store.
 *
 * A store keeps three things: sessions, logs, and which calls are open. It knows no HTTP and no
 * method of MCP; `data` is always an opaque string. A `scope` is the id under which related keys
 * live together (that of a session), so that one operation never spans two places.
 *
 * Rules for every operation:
 * - It ends: it resolves, or throws a `StoreError`, within the deadline of the store.
 * - After `store-timeout` the outcome is unknown. Repeating the same operation with the same ids and
 *   nonces is safe and applies it once.
 * - When a promise of a writing operation resolves, the write is acknowledged by the store.
 * - Times are milliseconds. Expiry is measured by the store's own clock.
 * - A session that was created with a `server` belongs to that one, and one created without belongs to any. Where an
 *   operation names another `server`, the session is as good as unknown: nothing of it is read or changed. An operation
 *   that names none does not look at it.
 */
export interface Store
  extends
    MembershipStore,
    TakeoverStore,
    DueCallsStore,
    QuotaStore,
    ContextStore,
    HistoryStore,
    DurabilityStore {
  /**
   * Creates a session. Creating the same id again changes nothing and answers `created`.
   * `limit`: the principal already has `maxPerPrincipal` live sessions (never for sessions without a principal).
   * With `evict`, sessions of the principal that are not in use are deleted to make room, those first whose expiry is
   * nearest: in use is one in which a call is open, or that a node watches. `limit` if all are, or all of the first few.
   */
  createSession(session: NewSession, limits: SessionLimits): Promise<'created' | 'limit'>

  /**
   * Checks that the session exists and belongs to `principal`, and slides its expiry to `ttlMs`.
   * `undefined`: unknown, expired, deleted, another principal's, or another `server`'s; callers cannot tell which.
   * The expiry may be left alone while less than a twentieth of `ttlMs` has passed since it was last set.
   */
  admit(
    scope: string,
    principal: string | undefined,
    ttlMs: number,
    server?: string,
  ): Promise<Admission | undefined>

  /**
   * Slides the expiry of a session and of the open calls named, without checking the principal. No-op when unknown.
   * Here and wherever an expiry slides, that of a scope that was made with its call comes no nearer.
   */
  keepAlive(scope: string, callIds: readonly string[], ttlMs: number): Promise<void>

  /** The whole session; `undefined` when unknown. */
  readSession(scope: string): Promise<StoredSession | undefined>

  /**
   * Deletes the session, its logs and its open calls, then wakes every watcher with the topic `deleted`.
   * `false`: unknown, another principal's, or another `server`'s; nothing was deleted.
   */
  deleteSession(scope: string, principal: string | undefined, server?: string): Promise<boolean>

  /** Session ids, a page at a time; begin with cursor `undefined`, go on until it is `undefined`. May name expired ones. */
  listSessions(
    cursor: string | undefined,
    limit: number,
  ): Promise<{ ids: string[]; cursor: string | undefined }>

  /**
   * Replaces the state entry `key` and gives it the next version. The entries of one session, in the
   * order of their versions, are what a node replays to rebuild it. A repeated `nonce` (within a minute) changes nothing.
   * Resolves to the version, `unknown` without such a session, `limit` when `key` is new and the session has `maxKeys`.
   */
  putState(
    scope: string,
    entry: { key: string; data: string; nonce: string },
    options: { maxKeys: number },
  ): Promise<number | 'unknown' | 'limit'>

  /** State entries with a version above `after`, lowest first. Empty when there are none, or no such session. */
  readState(scope: string, after: number): Promise<StateEntry[]>

  /**
   * Appends to a log that any node may write, and wakes its readers. The store chooses the id. A repeated
   * `nonce` (within a minute) appends nothing and answers with the first id.
   * `undefined`: no such session, or what `server`, `answers` or `ifOpen` ask for is not so. `false`: it is full, and `refuse` was set.
   */
  append(
    scope: string,
    log: SharedLog,
    data: string,
    options: AppendOptions,
  ): Promise<EntryId | false | undefined>

  /**
   * Lets one entry be appended that `answers` this name, a word without spaces. No-op while it does already. `false`: no
   * such session, or `ifOpen` is no open call of it.
   */
  expect(scope: string, name: string, options?: { ifOpen?: string }): Promise<boolean>

  /**
   * Up to `limit` entries after the entry `after`, oldest first.
   * `undefined`: the log does not hold `after` (never did, expired, or trimmed), so entries may be missing.
   * `BEGINNING` stands before the first entry ever written: an empty or unknown log answers `[]`, a trimmed one `undefined`.
   * `OLDEST` stands before the first entry that is still held and never answers `undefined`.
   * A page ends with the entry that brings its data to `maxBytes` or more: fewer than `limit`, of fewer bytes, are the last.
   */
  read(
    scope: string,
    log: LogName,
    after: EntryId,
    limit: number,
    maxBytes?: number,
  ): Promise<Entry[] | undefined>

  /** Deletes a log, and `expect`s nothing any more under the names. No-op when it does not exist. */
  dropLog(scope: string, log: LogName, names?: readonly string[]): Promise<void>

  /** Remembers how far the reader of `out` has come; never moves back. No-op for an unknown session. */
  saveDelivered(scope: string, id: EntryId): Promise<void>

  /**
   * Opens a call: admits as `admit` does, then creates its journal with `data` as the first entry, all or nothing.
   * When an open call has the same first request key, or a closed one has kept it, nothing is created and the answer is `attached` to that call.
   * An open call lives as long as its session at most, and at least until the expiry that the session had when the call was
   * opened, or last named by `keepAlive`.
   */
  openCall(call: NewCall): Promise<OpenedCall>

  /**
   * Appends to a call's journal: all entries or none. Ids are chosen by the call's owner and grow; it never gives one to
   * other data, so an id that is there tells that its batch was applied.
   * `fenced`: the journal already holds a higher id of another owner. `gone`: the journal does not exist any more.
   * With `close`, the call is no longer open, its inbox is dropped, and its journal expires after `retainMs`.
   * With `effect`, that value changes together with the append, or neither does: `conflict` if it has another
   * version than the effect expects.
   * Wakes the watchers.
   * With `close.unlessJoined`, `conflict` if `openCall` has answered `attached` with the call while it was open;
   * nothing is appended or closed then.
   */
  appendCall(
    scope: string,
    callId: string,
    entries: readonly NewEntry[],
    close?: CloseCall,
    effect?: ValueChange,
  ): Promise<CallAppended>

  /**
   * Appends to a journal as `appendCall` does, for entries that no reader waits for: wakes nobody. None of them is there
   * without those before it. A store may send what comes at once for several calls together; what becomes of one call's
   * does not depend on the others.
   */
  appendQuietly(scope: string, callId: string, entries: readonly NewEntry[]): Promise<QuietlyAppended>

  /**
   * Another store on the same data. With `name`, on data of its own: sessions, calls, nodes and maps of one name are never
   * seen under another one. With `keeping`, what it creates and appends is also kept in the history of its session: state
   * entries, and the entries of all its logs. What is not given stays as it is here. Each is closed by itself.
   */
  open(options: StoreOptions): Store

  /** Ids of open calls that have a request key beginning with `prefix`. */
  findCalls(scope: string, prefix: string): Promise<string[]>

  /**
   * Calls `listener` for every later append, `publish` and deletion in the scope, made on any node; at most
   * once each, possibly never: a reader reconciles now and then. After a broken connection the listener is
   * called once with the topic `resync`. Resolves when the subscription is active.
   */
  watch(scope: string, listener: WatchListener): Promise<Unwatch>

  /** Wakes the watchers of the scope with a topic of the caller's own: a word without spaces. */
  publish(scope: string, topic: string, value: string): Promise<void>

  /**
   * What is set up in a way that may lose what the store has acknowledged: a sentence for the log for each. `[]` when
   * nothing is known of; a store that can't tell, or has nothing to set up, answers that.
   */
  findRisks(): Promise<string[]>

  /** Ends watches and connections the store made itself. Connections handed to it stay open. */
  close(): Promise<void>
}

export type StoreOptions = { name?: string | undefined; keeping?: Keeping | undefined }

export type NewSession = {
  id: string
  principal: string | undefined
  /** Kept and given back with every admission; small. */
  protocolVersion: string
  /** Whose it is among the servers that use the store. */
  server?: string | undefined
  /** State entry of version 1. */
  state: { key: string; data: string }
  ttlMs: number
}
export type SessionLimits = { maxPerPrincipal: number; evict?: boolean }
export type Admission = {
  protocolVersion: string
  /** Version of the newest state entry. */
  version: number
  /** Up to which entry `out` was delivered; `BEGINNING` if never. */
  delivered: EntryId
  /** Grows whenever a value of the scope changes or is deleted (`ContextStore`); 0 before. */
  values: number
}
export type StateEntry = { key: string; version: number; data: string }
export type StoredSession = Admission & {
  principal: string | undefined
  server: string | undefined
  state: StateEntry[]
}

export type AppendOptions = {
  nonce: string
  /** Keep at most this many entries, */
  maxLength: number
  /** and at most so many bytes of data in all, except that the newest entry always has room. */
  maxBytes?: number
  /** What becomes of more: older ones are trimmed (default), or it is not appended. */
  whenFull?: 'trim' | 'refuse'
  /** Append only what is expected under this name; nothing is, then, any more. */
  answers?: string
  /** Append only while this call of the scope is open. */
  ifOpen?: string
  /** Append only to a session of this server. */
  server?: string | undefined
  /** The scope is made, if it is not there, for what belongs to no session; it and the log expire so long after the last entry. */
  begins?: { ttlMs: number }
}

export type NewCall = {
  scope: string
  callId: string
  /** The node that opens it. */
  owner: string
  principal: string | undefined
  server?: string | undefined
  /** One for each request of the call; unique among its requests. */
  requestKeys: readonly string[]
  data: string
  ttlMs: number
  maxOpenCalls: number
  /**
   * Bytes of `data` of the open calls of the scope, this one included. A call of up to 16 KiB is not counted, nor refused for it;
   * nor is the first larger one. Default: any.
   */
  maxOpenBytes?: number
  /**
   * The scope is made with the call, if it is not there, and has no other calls. Of this version of the protocol.
   * `maxPerPrincipal`: open calls of this kind that a principal may have, over all nodes. Nearly: those that are opened at the
   * same time may be more. Default: any.
   */
  begins?: { protocolVersion: string; maxPerPrincipal?: number } | undefined
}
export type OpenedCall =
  | { status: 'opened'; id: EntryId; admission: Admission }
  | { status: 'attached'; callId: string; admission: Admission }
  | { status: 'unknown' }
  | { status: 'limit' }
export type CallAppended = 'appended' | 'fenced' | 'gone' | 'conflict'
export type QuietlyAppended = Exclude<CallAppended, 'conflict'>
/** A value of a scope changes from one version to the next. */
export type ValueChange = {
  key: string
  /** The version it was computed from; 0: there was none. */
  expected: number
  /** `undefined` deletes it. */
  data: string | undefined
}
/**
 * `after`: how many ms after the time in its id it was written, by the writer's own measure; kept for the tools that look
 * into a store, and not read by the library. `durability`: it is acknowledged when it is so durable; by default, as the store is set.
 */
export type NewEntry = Entry & { after?: number; durability?: Durability | undefined }
export type CloseCall = {
  requestKeys: readonly string[]
  retainMs: number
  /** Go on answering `attached` to the first request key for `retainMs`: the same request will not come for another purpose. */
  keepKey?: boolean
  /** Close it only if no other request has joined it. */
  unlessJoined?: boolean
  /** Names under which nothing is expected any more. */
  unexpected?: readonly string[]
  /** The scope is kept as long as the journal: it was made with the call. */
  endsScope?: boolean
}

/**
 * `topic` is a log's name (value: its newest id), `deleted`, `resync`, or a topic of `publish`. A store may say what was
 * appended, so that a reader who stands right before it need not read.
 */
export type WatchListener = (topic: string, value: string, appended?: Appended) => void
/** Entries of a log, and the id before them; none, if they must be read. */
export type Appended = { previous: EntryId; entries: readonly Entry[] }
export type Unwatch = () => void
