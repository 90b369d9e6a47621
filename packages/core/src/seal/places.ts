import type { EntryId, LogName } from '../store/entries.js'

/**
 * Where a record stands. `root` chooses the key that it is sealed with, the rest is authenticated with it: so what was
 * sealed for one place can't be opened at another one.
 *
 * `e`: an entry of a log, by its id. `l`: an entry whose id the store chooses; it may stand anywhere in its log.
 * `v`: a value of a scope. `s`: a state entry of a session. `m`: a value of a map.
 */
export type Place = { kind: PlaceKind; root: string; names: readonly string[] }
export type PlaceKind = 'e' | 'l' | 'v' | 's' | 'm'

export const entryPlace = (scope: string, log: LogName, id: EntryId): Place => ({
  kind: 'e',
  root: `scope ${scope}`,
  names: [log, id],
})
export const logPlace = (scope: string, log: LogName): Place => ({
  kind: 'l',
  root: `scope ${scope}`,
  names: [log],
})
export const valuePlace = (scope: string, key: string): Place => ({
  kind: 'v',
  root: `scope ${scope}`,
  names: [key],
})
/** The key of the entry stands in what is sealed, since a history does not tell it. */
export const statePlace = (scope: string): Place => ({ kind: 's', root: `scope ${scope}`, names: [] })
export const mapPlace = (map: string, key: string): Place => ({ kind: 'm', root: `map ${map}`, names: [key] })
