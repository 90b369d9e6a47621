import { digest } from '../ids.js'
import { ReplayDivergedError } from './errors.js'
import type { ContextStore, MapChange } from '../store/context-store.js'

/** Fingerprints of changes, by their marks. */
export type MapRecord = Map<string, string>

/** The store, with a note of every marked change of a map that goes through it. */
export function recordingChanges(store: ContextStore, record: MapRecord): ContextStore {
  return {
    ...readingOf(store),
    writeValue: (...args) => store.writeValue(...args),
    beginScope: (...args) => store.beginScope(...args),
    changeMap: async (map, change, mark) => {
      const outcome = await store.changeMap(map, change, mark)
      if (mark !== undefined) record.set(mark, fingerprint(change))
      return outcome
    },
  }
}

/** The store for a replay: it can only be read, and notes the changes it was asked for. */
export function withoutChanges(store: ContextStore, record: MapRecord): ContextStore {
  return {
    ...readingOf(store),
    writeValue: async () => {
      throw new ReplayDivergedError()
    },
    beginScope: async () => {
      throw new ReplayDivergedError()
    },
    changeMap: async (_map, change, mark = '') => {
      record.set(mark, fingerprint(change))
      return 'repeated'
    },
  }
}

function readingOf(
  store: ContextStore,
): Pick<ContextStore, 'readValue' | 'useScope' | 'readMap' | 'rangeMap'> {
  return {
    useScope: (...use) => store.useScope(...use),
    readValue: (scope, key) => store.readValue(scope, key),
    readMap: (map, keys) => store.readMap(map, keys),
    rangeMap: (map, range) => store.rangeMap(map, range),
  }
}

const fingerprint = ({ set, remove }: MapChange) => digest(JSON.stringify([set, remove]))
