import { SealError } from '../errors.js'
import type { Inspection } from '../inspect/inspection.js'
import { CHANGES } from '../session/changes.js'
import { readPages, within } from '../store/retry.js'
import { OLDEST } from '../store/store.js'
import type { LogName, Store } from '../store/store.js'
import { checkSeal } from './check-seal.js'
import { mapPlace, valuePlace } from './places.js'
import { sealOf } from './sealed-text.js'
import { Seals } from './seals.js'
import type { SealOptions } from './seals.js'
import { Secrets } from './secrets.js'

/**
 * What became of the values of states and maps: `resealed` with the current key; had it already (`current`); or can't be opened
 * (`unreadable`). `left`: by the id of their key, or `plain`, of how many sessions and calls something is sealed with another one, and how many changes are.
 */
export type Resealed = {
  resealed: number
  current: number
  unreadable: number
  left: Record<string, Left>
}
type Left = { sessions: number; calls: number; changes: number }

const PAGE = 200
/** While the store is away. */
const WAITS_MS = 10_000

/**
 * Seals the values of states and maps with the first of the keys that have been sealed with another one, or with none, while nodes run: a value that somebody
 * changes meanwhile is left as that one has sealed it. What is in logs can't be written again: it goes with its session, or its call.
 * With `plain: 'refuse'` nothing that is not sealed is: it counts as `unreadable`. `inspect` and `store` are those of the stored data, not sealed themselves.
 */
export async function reseal(
  inspect: Inspection,
  store: Store,
  { keys, plain = 'read', secrets: kept }: SealOptions,
): Promise<Resealed> {
  const options = { keys, plain, ...(kept && { secrets: kept }) }
  checkSeal('reseal()', options)
  const seals = new Seals(options)
  const secrets = kept && new Secrets(kept, seals)
  const done: Resealed = { resealed: 0, current: 0, unreadable: 0, left: {} }
  const each = async (work: () => Promise<boolean | undefined>) => {
    try {
      const outcome = await work()
      if (outcome === undefined) done.current++
      else if (outcome) done.resealed++
    } catch (error) {
      if (!(error instanceof SealError)) throw error
      done.unreadable++
    }
  }
  for await (const scopes of inspect.sessions.stateful()) {
    for (const scope of scopes) {
      const values = await inspect.sessions.values(scope)
      await secrets?.bringFor(values)
      for (const { key, version, data } of values) {
        await each(async () => {
          const sealed = seals.reseal(valuePlace(scope, key), data)
          return sealed === undefined
            ? undefined
            : isNumber(await store.writeValue(scope, key, version, sealed))
        })
      }
    }
  }
  for (const map of await inspect.maps.names()) {
    for await (const [key, value] of entriesOf(inspect, map)) {
      await each(async () => {
        const sealed = seals.reseal(mapPlace(map, key), value)
        return sealed === undefined ? undefined : store.replaceInMap?.(map, key, value, sealed)
      })
    }
  }
  await count(inspect, store, seals, done.left)
  return done
}

const isNumber = (outcome: unknown) => typeof outcome === 'number'

async function* entriesOf({ maps }: Inspection, map: string) {
  for (let after: string | undefined; ;) {
    const page = await maps.read(map, { limit: PAGE, ...(after !== undefined && { after }) })
    yield* page
    after = page.at(-1)?.[0]
    if (page.length < PAGE) return
  }
}

/** All records that can't be written again are looked at, a page at a time. What is used meanwhile may be counted twice, and is never missed. */
async function count({ sessions, calls }: Inspection, store: Store, { keys }: Seals, left: Resealed['left']) {
  const note = (what: keyof Left, ids: Iterable<string>) => {
    for (const id of new Set(ids))
      if (id !== keys.current) (left[id] ??= { sessions: 0, calls: 0, changes: 0 })[what]++
  }
  let cursor: string | undefined
  do {
    const page = await store.listSessions(cursor, PAGE)
    for (const scope of page.ids) {
      const ids = new Set((await sessions.state(scope)).map(({ data }) => keyOf(data)))
      for await (const id of keysIn(store, scope, 'out')) ids.add(id)
      note('sessions', ids)
    }
    cursor = page.cursor
  } while (cursor !== undefined)
  for await (const page of calls.all()) {
    for (const { scope, callId } of page) {
      const ids = new Set<string>()
      for (const log of [`call:${callId}`, `call:${callId}:in`] as const)
        for await (const id of keysIn(store, scope, log)) ids.add(id)
      note('calls', ids)
    }
  }
  for await (const id of keysIn(store, CHANGES, 'out')) note('changes', [id])
}

/** The keys of the records of a log. If it is trimmed meanwhile, what is left of it comes once more. */
async function* keysIn(store: Store, scope: string, log: LogName) {
  let isCut: boolean
  do {
    isCut = false
    const onGone = () => {
      isCut = true
    }
    for await (const page of readPages(store, scope, log, within(WAITS_MS), { after: OLDEST, onGone }))
      for (const { data } of page) yield keyOf(data)
  } while (isCut)
}

/** By which it is counted. */
const keyOf = (text: string) => sealOf(text) ?? 'plain'
