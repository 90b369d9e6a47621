import type { DueCall } from '../store/due-calls.js'
import type { EntryId, LogName } from '../store/entries.js'
import type { HistoryEntry } from '../store/history.js'
import type { PlaceOwner, Quota } from '../store/quotas.js'
import type { NewEntry } from '../store/store.js'

/**
 * Moves what a store holds into another one, while no node runs on either. Ids, versions, order and expiry stay. Recognition of what is
 * sent twice within a minute (nonces) is left behind.
 */
export interface Transfer {
  /** Of the parts with a name of their own (`StoreOptions`), apart from this one. */
  names(): Promise<string[]>
  /** All that is held under its name and has not expired, in pieces of bounded size. */
  pieces(): AsyncIterable<Piece>
  /**
   * Puts a piece in the place of what is there; one that is not the `first` of its log, history, map or marks goes behind those before it.
   * Putting the same pieces again changes nothing. Wakes nobody. What belongs to a scope may come before it, and the scope never, since it
   * has expired: each piece goes at its own time.
   */
  put(piece: Piece): Promise<void>
}

/** Whatever names a time says ms since 1970 by the clock of the store; expiry `undefined`: never. */
export type Piece =
  | ScopePiece
  | LogPiece
  | HistoryPiece
  | ValuesPiece
  | MarksPiece
  | MapPiece
  | NodePiece
  | DuePiece
  | PlacesPiece
  | WaitingPiece
  | ListedPiece

/** A session, or the scope of what belongs to none; without its logs and values. */
export type ScopePiece = {
  kind: 'scope'
  scope: string
  principal: string | undefined
  server: string | undefined
  protocolVersion: string
  createdAt: number | undefined
  expiresAt: number | undefined
  /** Of the newest state entry; 0: no client has begun it. */
  version: number
  delivered: EntryId
  /** How often any of its values was changed. */
  changes: number
  /** Of one that holds values alone: how long it lives after a use. */
  ttlMs: number | undefined
  state: readonly MovedState[]
  openCalls: readonly MovedCall[]
  /** Requests of ended calls that are still answered with these, for as long as their journals are there. */
  kept: readonly { requestKey: string; callId: string; expiresAt: number }[]
  /** Names under which an entry is expected. */
  expected: readonly string[]
  /** How many bytes of data its logs have, where that is counted. */
  sizes: readonly { log: LogName; bytes: number }[]
}
/** `at`: when it was written; 0: not known. */
export type MovedState = { key: string; version: number; at: number; data: string }
export type MovedCall = {
  callId: string
  owner: string
  claims: number
  /** Another request was attached to it. */
  isJoined: boolean
  /** Of its request, if these are counted. */
  bytes: number | undefined
  requestKeys: readonly string[]
  /** Of its journal. */
  expiresAt: number | undefined
}

/**
 * A page of a log. `endsAlone`: it does not go with its call or scope, having an expiry of its own. That of an open call may come before
 * that of its scope as well: nobody has owned it lately.
 */
export type LogPiece = {
  kind: 'log'
  scope: string
  log: LogName
  first: boolean
  /** It lacks entries that were written before the oldest one that it holds. */
  isTrimmed: boolean
  entries: readonly NewEntry[]
  expiresAt: number | undefined
  scopeExpiresAt: number | undefined
  endsAlone: boolean
}
export type HistoryPiece = {
  kind: 'history'
  scope: string
  first: boolean
  entries: readonly Omit<HistoryEntry, 'at'>[]
  expiresAt: number | undefined
}
/** `version`: the highest that was ever given. */
export type ValuesPiece = {
  kind: 'values'
  scope: string
  version: number
  values: readonly { key: string; version: number; data: string }[]
  expiresAt: number | undefined
  scopeExpiresAt: number | undefined
}
/** A page of the marks of changes that were made, of a scope or a map. */
export type MarksPiece = {
  kind: 'marks'
  of: { scope: string } | { map: string }
  first: boolean
  marks: readonly { mark: string; until: number }[]
  /** Of all of them. */
  expiresAt: number | undefined
  scopeExpiresAt: number | undefined
}
export type MapPiece = {
  kind: 'map'
  map: string
  first: boolean
  entries: readonly (readonly [key: string, value: string])[]
}
/** `beatAt`: 0 of one that has left, or was declared dead. */
export type NodePiece = {
  kind: 'node'
  node: string
  beatAt: number
  about: string
  held: readonly string[]
}
export type DuePiece = { kind: 'due'; entries: readonly (DueCall & { at: number })[] }
export type PlacesPiece = {
  kind: 'places'
  quota: string
  places: readonly (PlaceOwner & { takenAt: number })[]
  /** How long each is had, where it is not given back. */
  windowMs: number | undefined
}
/** A call that waits for its turn: since `at`, in the queue of the quota `on`. `givenAt`: its turn has come, and this was told. */
export type WaitingPiece = {
  kind: 'waiting'
  call: PlaceOwner
  at: number
  on: string
  quotas: readonly Quota[]
  givenAt: number | undefined
}
/**
 * What lists scopes: all sessions, or of a principal (by the SHA-256 of its name, in base64url) its sessions, those with a history, the
 * scopes that hold values alone, and calls without a session, open and ended.
 */
export type ListedPiece = {
  kind: 'listed'
  list: 'sessions' | 'principal' | 'kept' | 'values' | 'calls' | 'ended'
  principal: string | undefined
  scopes: readonly { scope: string; until: number }[]
}
