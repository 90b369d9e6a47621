/**
 * What state and sorted maps ask of a store. Every `data` and map value is an opaque string.
 *
 * As for every operation of a store: each ends within a deadline or throws a `StoreError`; after
 * `store-timeout` the outcome is unknown. Reads and marked changes may be repeated, and take effect once.
 */
export interface ContextStore {
  /** The value under a key of a scope. `undefined`: none, or no such scope. Versions are positive. */
  readValue(scope: string, key: string): Promise<StoredValue | undefined>

  /**
   * Replaces the value if its version is `expected`, 0 meaning that there is none; `undefined` deletes it.
   * Resolves to the new version (0 when deleted), which is higher than any the key ever had, deleted ones
   * included. `conflict`: it has another version; nothing changed. `unknown`: no such scope, or another principal's.
   * With a `mark`, a write whose mark the scope has seen changes nothing and answers `repeated`, even if it differs: so it
   * may be repeated. `full`: the values would have more than `maxBytes`, and no fewer than before.
   */
  writeValue(
    scope: string,
    key: string,
    expected: number,
    data: string | undefined,
    options?: WriteOptions,
  ): Promise<number | 'conflict' | 'unknown' | 'repeated' | 'full'>

  /**
   * Begins a scope that holds values and nothing else, and is listed nowhere. It lives for `ttlMs` after its last use: a write, or
   * `useScope`. Beginning the same one again changes nothing and answers `begun`. `limit`: the principal has `maxPerPrincipal`
   * such scopes (nearly; never where there is no principal).
   */
  beginScope(scope: string, whose: NewScope, limits: { maxPerPrincipal: number }): Promise<'begun' | 'limit'>

  /** Slides the expiry of such a scope. `false`: unknown, expired, or another principal's; callers cannot tell which. */
  useScope(scope: string, principal: string | undefined): Promise<boolean>

  /**
   * Changes a map, which is made by its first change: everything or nothing, one change after the other. With a
   * `mark`, a change whose mark the map has seen changes nothing and answers `repeated`, even if it differs. Marks
   * are kept for at least as long as the call that made them can be run again. `formerMark`: as in `WriteOptions`.
   */
  changeMap(
    map: string,
    change: MapChange,
    mark?: string,
    formerMark?: string,
  ): Promise<'applied' | 'repeated'>

  /** Sets the value of a key where it is `from`. `false`: it is another one, or gone. A store that has no way to is asked for none. */
  replaceInMap?(map: string, key: string, from: string, to: string): Promise<boolean>

  /** The values of these keys, in their order; `undefined` for keys that the map does not have. */
  readMap(map: string, keys: readonly string[]): Promise<(string | undefined)[]>

  /**
   * Up to `limit` entries within the bounds, in the order of the bytes of their keys in UTF-8, or against it.
   * Empty for an unknown map. A page ends with the entry that brings its keys and values to `maxBytes` or more: fewer than
   * `limit`, of fewer bytes, are the last. O(log n + limit).
   */
  rangeMap(map: string, range: MapRange): Promise<[key: string, value: string][]>
}

export type StoredValue = { version: number; data: string }

/** `ttlMs`: after its last use. */
export type NewScope = { principal: string | undefined; ttlMs: number }

export type WriteOptions = {
  mark?: string
  /** What an earlier version would have given as `mark`: whoever has seen that one has seen this one. It is not remembered. */
  formerMark?: string
  /** For how long the mark is remembered, or until the scope expires. */
  markMs?: number
  /** The scope is made, if it is not there, as by `beginScope`, and has this time to live from now on. */
  begins?: NewScope
  /** Of all keys and values of the scope, nearly. */
  maxBytes?: number
}

/** No key is in both lists, or twice in one. */
export type MapChange = { set: readonly (readonly [key: string, value: string])[]; remove: readonly string[] }

export type MapRange = {
  /** The lowest key that is in the range. */
  from?: string
  /** The lowest key above the range. */
  to?: string
  /** Where the last page ended: go on behind this key, in the direction of reading. */
  after?: string
  reverse: boolean
  limit: number
  /** In UTF-8. Default: any. */
  maxBytes?: number
}
