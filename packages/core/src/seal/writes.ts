import type { NewEntry, Store, ValueChange } from '../store/store.js'
import type { WritingOperations } from './operations.js'
import { entryPlace, logPlace, mapPlace, valuePlace } from './places.js'
import { sealState } from './sealed-entries.js'
import type { Seals } from './seals.js'

/** The operations that give the store something to keep. */
export function writeOperations(store: Store, seals: Seals): WritingOperations {
  const sealEntries = (scope: string, callId: string, entries: readonly NewEntry[]) =>
    entries.map((entry) => ({
      ...entry,
      data: seals.seal(entryPlace(scope, `call:${callId}`, entry.id), entry.data),
    }))
  const sealEffect = (scope: string, effect: ValueChange): ValueChange =>
    effect.data === undefined
      ? effect
      : { ...effect, data: seals.seal(valuePlace(scope, effect.key), effect.data) }
  const sized = <Limits extends { maxBytes?: number }>(limits: Limits): Limits =>
    limits.maxBytes === undefined ? limits : { ...limits, maxBytes: seals.sizeOf(limits.maxBytes) }

  return {
    createSession: async (session, limits) => {
      const { key } = session.state
      const state = { key, data: sealState(seals, session.id, session.state) }
      return store.createSession({ ...session, state }, limits)
    },
    putState: async (scope, entry, limits) =>
      store.putState(scope, { ...entry, data: sealState(seals, scope, entry) }, limits),
    append: async (scope, log, data, options) =>
      store.append(scope, log, seals.seal(logPlace(scope, log), data), sized(options)),
    openCall: async (call) => {
      const { scope, callId, maxOpenBytes } = call
      const data = seals.seal(logPlace(scope, `call:${callId}`), call.data)
      const limit = maxOpenBytes === undefined ? {} : { maxOpenBytes: seals.sizeOf(maxOpenBytes) }
      return store.openCall({ ...call, ...limit, data })
    },
    appendCall: async (scope, callId, entries, close, effect) => {
      const sealed = sealEntries(scope, callId, entries)
      return store.appendCall(scope, callId, sealed, close, effect && sealEffect(scope, effect))
    },
    appendQuietly: async (scope, callId, entries) =>
      store.appendQuietly(scope, callId, sealEntries(scope, callId, entries)),
    // A store knows a repeated claim by its data.
    claimCall: async (scope, callId, claim) => {
      const data = seals.seal(logPlace(scope, `call:${callId}`), claim.data, { again: true })
      return store.claimCall(scope, callId, { ...claim, data })
    },
    writeValue: async (scope, key, expected, data, options = {}) => {
      const sealed = data === undefined ? undefined : seals.seal(valuePlace(scope, key), data)
      return store.writeValue(scope, key, expected, sealed, sized(options))
    },
    changeMap: async (map, { set, remove }, mark) => {
      const sealed = set.map(([key, value]) => [key, seals.seal(mapPlace(map, key), value)] as const)
      return store.changeMap(map, { set: sealed, remove }, mark)
    },
  }
}
