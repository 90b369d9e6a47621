import { SealError } from '../errors.js'
import type { Inspection } from '../inspect/inspection.js'
import type { Store } from '../store/store.js'
import { checkSeal } from './check-seal.js'
import { mapPlace, valuePlace } from './places.js'
import { sealOf } from './sealed-text.js'
import { Seals } from './seals.js'
import type { SealOptions } from './seals.js'
import { Secrets } from './secrets.js'

/**
 * What became of the values of states and maps: `resealed` with the current key; had it already (`current`); or can't be opened
 * (`unreadable`). `left`: by the id of their key, or `plain`, of how many sessions and calls something is sealed with another one.
 */
export type Resealed = {
  resealed: number
  current: number
  unreadable: number
  left: Record<string, { sessions: number; calls: number }>
}

const PAGE = 200

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
  await count(inspect, seals, done.left)
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

/** Of calls the first and the last record is looked at. */
async function count({ sessions, calls, logs }: Inspection, { keys }: Seals, left: Resealed['left']) {
  const note = (what: 'sessions' | 'calls', texts: readonly string[]) => {
    for (const id of new Set(texts.map((text) => sealOf(text) ?? 'plain'))) {
      if (id !== keys.current) (left[id] ??= { sessions: 0, calls: 0 })[what]++
    }
  }
  for (let skip = 0; ; skip += PAGE) {
    const ids = await sessions.newest(PAGE, skip)
    for (const id of ids)
      note(
        'sessions',
        (await sessions.state(id)).map(({ data }) => data),
      )
    if (ids.length < PAGE) break
  }
  for await (const page of calls.all()) {
    for (const { scope, callId } of page) {
      const log = `call:${callId}` as const
      const ends = [...(await logs.read(scope, log, undefined, 1)), ...(await logs.newest(scope, log, 1))]
      note(
        'calls',
        ends.map(({ data }) => data),
      )
    }
  }
}
