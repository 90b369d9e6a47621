import type { MapRange } from '../store/context-store.js'
import { bytesOf } from '../store/entries.js'
import type { Entry, EntryId, LogName } from '../store/entries.js'
import type { Appended, Store } from '../store/store.js'
import type { ReadingOperations } from './operations.js'
import { valuePlace } from './places.js'
import { openEntry, openHistoryEntry, openMapEntry, openStateEntry } from './sealed-entries.js'
import type { Seals } from './seals.js'

/** The operations that answer what the store keeps. */
export function readOperations(store: Store, seals: Seals): ReadingOperations {
  return {
    readSession: async (scope) => {
      const session = await store.readSession(scope)
      return (
        session && { ...session, state: session.state.map((entry) => openStateEntry(seals, scope, entry)) }
      )
    },
    readState: async (scope, after) => {
      const entries = await store.readState(scope, after)
      return entries.map((entry) => openStateEntry(seals, scope, entry))
    },
    read: (...page) => readPage(store, seals, page),
    watch: (scope, listener) =>
      store.watch(scope, (topic, value, appended) =>
        listener(topic, value, appended && openAppended(seals, scope, topic as LogName, appended)),
      ),
    history: async (scope, page) => {
      const entries = await store.history(scope, page)
      return entries.map((entry) => openHistoryEntry(seals, scope, entry))
    },
    readValue: async (scope, key) => {
      const value = await store.readValue(scope, key)
      return value && { ...value, data: seals.open(value.data, valuePlace(scope, key)) }
    },
    readMap: async (map, keys) => {
      const values = await store.readMap(map, keys)
      return values.map((value, i) =>
        value === undefined ? undefined : openMapEntry(seals, map, [keys[i] ?? '', value])[1],
      )
    },
    rangeMap: (map, range) => rangePage(store, seals, map, range),
  }
}

/** `undefined`: it can't be opened. Who wants it reads it, and that says why. */
function openAppended(seals: Seals, scope: string, log: LogName, appended: Appended): Appended | undefined {
  try {
    return { ...appended, entries: appended.entries.map((entry) => openEntry(seals, scope, log, entry)) }
  } catch {
    return undefined
  }
}

/** A page as `read` promises it, by the bytes of what is in the records: sealed they have more. */
async function readPage(
  store: Store,
  seals: Seals,
  [scope, log, after, limit, maxBytes]: [string, LogName, EntryId, number, number?],
): Promise<Entry[] | undefined> {
  const page: Entry[] = []
  let left = maxBytes ?? Number.POSITIVE_INFINITY
  for (let from = after; ;) {
    const most = maxBytes === undefined ? undefined : seals.leastSealed(left)
    const stored = await store.read(scope, log, from, limit - page.length, most)
    // That of a page already begun was trimmed meanwhile.
    if (!stored) return undefined
    const opened = stored.map((entry) => openEntry(seals, scope, log, entry))
    page.push(...opened)
    left -= bytesOf(opened)
    const last = stored.at(-1)
    const isLast = most === undefined || bytesOf(stored) < most
    if (!last || isLast || page.length >= limit || left <= 0) return page
    from = last.id
  }
}

/** As `readPage`, of a map. */
async function rangePage(store: Store, seals: Seals, map: string, range: MapRange) {
  const page: [key: string, value: string][] = []
  const { limit, maxBytes } = range
  let left = maxBytes ?? Number.POSITIVE_INFINITY
  for (let from = range; ;) {
    const most = maxBytes === undefined ? {} : { maxBytes: left }
    const stored = await store.rangeMap(map, { ...from, limit: limit - page.length, ...most })
    const opened = stored.map((entry) => openMapEntry(seals, map, entry))
    page.push(...opened)
    const last = stored.at(-1)
    const isLast = maxBytes === undefined || bytesOfEntries(stored) < left
    left -= bytesOfEntries(opened)
    if (!last || isLast || page.length >= limit || left <= 0) return page
    from = { ...range, after: last[0] }
  }
}

const bytesOfEntries = (entries: readonly (readonly [key: string, value: string])[]) =>
  entries.reduce((sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value), 0)
