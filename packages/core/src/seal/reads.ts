import type { MapRange } from '../store/context-store.js'
import { SealError } from '../errors.js'
import { CHANGES } from '../session/changes.js'
import { bytesOf } from '../store/entries.js'
import type { Entry, EntryId, LogName } from '../store/entries.js'
import type { Appended, Store } from '../store/store.js'
import type { ReadingOperations } from './operations.js'
import { valuePlace } from './places.js'
import { openEntry, openHistoryEntry, openMapEntry, openStateEntry } from './sealed-entries.js'
import type { Owners } from './owners.js'
import type { Seals } from './seals.js'
import type { Secrets } from './secrets.js'

/** The operations that answer what the store keeps. */
export function readOperations(
  store: Store,
  seals: Seals,
  { secrets, owners }: { secrets?: Secrets | undefined; owners?: Owners | undefined } = {},
): ReadingOperations {
  return {
    readSession: async (scope) => {
      const session = await store.readSession(scope)
      if (!session) return undefined
      await secrets?.bringFor(session.state)
      owners?.learnFrom(scope, session)
      return { ...session, state: session.state.map((entry) => openStateEntry(seals, scope, entry)) }
    },
    readState: async (scope, after) => {
      const entries = await store.readState(scope, after)
      await secrets?.bringFor(entries)
      return entries.map((entry) => openStateEntry(seals, scope, entry))
    },
    read: (...page) => readPage({ store, seals, secrets }, page),
    watch: (scope, listener) =>
      store.watch(scope, (topic, value, appended) =>
        listener(topic, value, appended && opening(seals, scope, topic as LogName, appended)),
      ),
    history: async (scope, page) => {
      const entries = await store.history(scope, page)
      await secrets?.bringFor(entries)
      return entries.map((entry) => openHistoryEntry(seals, scope, entry))
    },
    readValue: async (scope, key) => {
      const value = await store.readValue(scope, key)
      if (value) await secrets?.bringFor([value])
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

/** Opened when somebody looks: most who hear of them have them already. None: they can't be opened. Who wants them reads them, and that says why. */
function opening(seals: Seals, scope: string, log: LogName, { previous, entries }: Appended): Appended {
  let opened: readonly Entry[] | undefined
  const open = () => {
    try {
      return entries.map((entry) => openEntry(seals, scope, log, entry))
    } catch {
      return []
    }
  }
  return {
    previous,
    get entries() {
      return (opened ??= open())
    },
  }
}

/** A page as `read` promises it, by the bytes of what is in the records: sealed they have more. */
async function readPage(
  { store, seals, secrets }: { store: Store; seals: Seals; secrets: Secrets | undefined },
  [scope, log, after, limit, maxBytes]: [string, LogName, EntryId, number, number?],
): Promise<Entry[] | undefined> {
  const page: Entry[] = []
  let left = maxBytes ?? Number.POSITIVE_INFINITY
  for (let from = after; ;) {
    const most = maxBytes === undefined ? undefined : seals.leastSealed(left)
    const stored = await store.read(scope, log, from, limit - page.length, most)
    // That of a page already begun was trimmed meanwhile.
    if (!stored) return undefined
    await secrets?.bringFor(stored)
    const opened = stored.map((entry) => openNext(seals, scope, log, entry))
    page.push(...opened)
    left -= bytesOf(opened)
    const last = stored.at(-1)
    const isLast = most === undefined || bytesOf(stored) < most
    if (!last || isLast || page.length >= limit || left <= 0) return page
    from = last.id
  }
}

/** All nodes read the changes of all times, so none of them may stand in the way of the next: one that can't be opened has no data. */
function openNext(seals: Seals, scope: string, log: LogName, entry: Entry): Entry {
  try {
    return openEntry(seals, scope, log, entry)
  } catch (error) {
    if (scope === CHANGES && error instanceof SealError) return { id: entry.id, data: '' }
    throw error
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
