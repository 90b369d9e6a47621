import { SealError } from '../errors.js'
import type { Entry, LogName } from '../store/entries.js'
import type { HistoryEntry } from '../store/history.js'
import type { StateEntry } from '../store/store.js'
import type { Secret } from './keys.js'
import { entryPlace, logPlace, mapPlace, statePlace } from './places.js'
import { sealOf } from './sealed-text.js'
import type { Seals } from './seals.js'

/** An entry as whoever appended it has given it. */
export const openEntry = <E extends Entry>(seals: Seals, scope: string, log: LogName, entry: E): E => ({
  ...entry,
  data: seals.open(entry.data, entryPlace(scope, log, entry.id), logPlace(scope, log)),
})

export function openHistoryEntry(seals: Seals, scope: string, kept: HistoryEntry): HistoryEntry {
  const { log, entry: id, data } = kept
  if (log === 'state') return { ...kept, data: openState(seals, scope, data).data }
  return { ...kept, data: openEntry(seals, scope, log, { id, data }).data }
}

/** The length of the key tells it from the data, whatever the two contain. */
export const sealState = (
  seals: Seals,
  scope: string,
  { key, data }: { key: string; data: string },
  secret: Secret | undefined,
) => seals.seal(statePlace(scope), `${key.length} ${key}${data}`, { secret })

function openState(seals: Seals, scope: string, text: string) {
  const opened = seals.open(text, statePlace(scope))
  if (sealOf(text) === undefined) return { key: undefined, data: opened }
  const space = opened.indexOf(' ')
  const end = space + 1 + Number(opened.slice(0, space))
  return { key: opened.slice(space + 1, end), data: opened.slice(end) }
}

export function openStateEntry<E extends StateEntry>(seals: Seals, scope: string, entry: E): E {
  const { key, data } = openState(seals, scope, entry.data)
  if (key !== undefined && key !== entry.key) throw new SealError('store-tampered', sealOf(entry.data))
  return { ...entry, data }
}

export const openMapEntry = (
  seals: Seals,
  map: string,
  [key, value]: [key: string, value: string],
): [key: string, value: string] => [key, seals.open(value, mapPlace(map, key))]
