import { SealError } from '../errors.js'
import type { Inspection } from '../inspect/inspection.js'
import { checkSeal } from './check-seal.js'
import { overriding } from './overriding.js'
import { openEntry, openMapEntry, openStateEntry } from './sealed-entries.js'
import { valuePlace } from './places.js'
import { Seals } from './seals.js'
import type { SealOptions } from './seals.js'
import { Secrets } from './secrets.js'

/** The same, with what is sealed opened where one of the keys opens it, and as it is stored where none does. */
export function openedInspection<I extends Inspection>(
  inspect: I,
  { keys, secrets: kept }: Omit<SealOptions, 'plain'>,
): I {
  const options = { keys, ...(kept && { secrets: kept }) }
  checkSeal('openedInspection()', options)
  const seals = new Seals(options)
  const secrets = kept && new Secrets(kept, seals)
  const { sessions, logs, maps } = inspect
  const opened: Pick<Inspection, 'sessions' | 'logs' | 'maps'> = {
    sessions: overriding(sessions, {
      state: async (id, wanted) => {
        const entries = await sessions.state(id, wanted)
        await secrets?.bringFor(entries)
        return entries.map((entry) => orSealed(entry, () => openStateEntry(seals, id, entry)))
      },
      values: async (id) => {
        const values = await sessions.values(id)
        await secrets?.bringFor(values)
        return values.map((value) =>
          orSealed(value, () => ({ ...value, data: seals.open(value.data, valuePlace(id, value.key)) })),
        )
      },
    }),
    logs: overriding(logs, {
      read: async (scope, log, after, limit) => {
        const entries = await logs.read(scope, log, after, limit)
        await secrets?.bringFor(entries)
        return entries.map((entry) => orSealed(entry, () => openEntry(seals, scope, log, entry)))
      },
      newest: async (scope, log, limit) => {
        const entries = await logs.newest(scope, log, limit)
        await secrets?.bringFor(entries)
        return entries.map((entry) => orSealed(entry, () => openEntry(seals, scope, log, entry)))
      },
    }),
    maps: overriding(maps, {
      read: async (name, page) => {
        const entries = await maps.read(name, page)
        return entries.map((entry) => orSealed(entry, () => openMapEntry(seals, name, entry)))
      },
    }),
  }
  return overriding<Inspection>(inspect, opened) as I
}

/** Who looks is shown what can be opened, and that the rest is sealed. */
function orSealed<T>(stored: T, open: () => T): T {
  try {
    return open()
  } catch (error) {
    if (error instanceof SealError) return stored
    throw error
  }
}
