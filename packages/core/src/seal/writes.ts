import { digest } from '../ids.js'
import type { Durability } from '../store/durability.js'
import type { EntryId } from '../store/entries.js'
import type { NewCall, NewEntry, Store, ValueChange } from '../store/store.js'
import type { Secret } from './keys.js'
import type { WritingOperations } from './operations.js'
import type { Owners } from './owners.js'
import { entryPlace, logPlace, mapPlace, valuePlace } from './places.js'
import { sealState } from './sealed-entries.js'
import type { Seals } from './seals.js'

/** What a store needs of an entry, and nothing that the journal has beside. A class, not a literal: see CONTRIBUTING.md. */
class SealedEntry implements NewEntry {
  readonly id: EntryId
  readonly after: number
  readonly durability: Durability | undefined

  constructor(
    { id, after = 0, durability }: NewEntry,
    readonly data: string,
  ) {
    this.id = id
    this.after = after
    this.durability = durability
  }
}

/** The operations that give the store something to keep. `owners`: where each principal has a secret. */
export function writeOperations(store: Store, seals: Seals, owners?: Owners): WritingOperations {
  const sealEntries = (
    scope: string,
    callId: string,
    entries: readonly NewEntry[],
    secret: Secret | undefined,
  ) =>
    entries.map(
      (entry) =>
        new SealedEntry(
          entry,
          seals.seal(entryPlace(scope, `call:${callId}`, entry.id), entry.data, { secret }),
        ),
    )
  const sealEffect = (scope: string, effect: ValueChange, secret: Secret | undefined): ValueChange =>
    effect.data === undefined
      ? effect
      : { ...effect, data: seals.seal(valuePlace(scope, effect.key), effect.data, { secret }) }
  /**
   * What many calls have to seal in one turn is sealed side by side: each waits for the others before and after. The
   * cipher alone takes twice as long if something else runs between one record and the next.
   */
  const inARow = async <T>(
    secret: Promise<Secret | undefined> | undefined,
    seal: (secret: Secret | undefined) => T,
  ): Promise<T> => seal(await secret)
  const sized = <Limits extends { maxBytes?: number }>(limits: Limits): Limits =>
    limits.maxBytes === undefined ? limits : { ...limits, maxBytes: seals.sizeOf(limits.maxBytes) }

  return {
    createSession: async (session, limits) => {
      const { id, principal } = session
      const secret = owners && (await owners.secretOfNew(principal))
      const state = { key: session.state.key, data: sealState(seals, id, session.state, secret) }
      const outcome = await store.createSession({ ...session, state }, limits)
      if (outcome === 'created') owners?.learn(id, principal)
      return outcome
    },
    putState: async (scope, entry, limits) => {
      const secret = owners && (await owners.secretFor(scope))
      return store.putState(scope, { ...entry, data: sealState(seals, scope, entry, secret) }, limits)
    },
    append: async (scope, log, data, options) => {
      // What is made by it is nobody's.
      const secret = options.begins ? undefined : owners && (await owners.secretFor(scope))
      return store.append(scope, log, seals.seal(logPlace(scope, log), data, { secret }), sized(options))
    },
    openCall: async (call) => {
      const { scope, callId, principal, maxOpenBytes, begins } = call
      const place = logPlace(scope, `call:${callId}`)
      const secret =
        begins || principal === undefined ? owners?.secretOfNew(principal) : owners?.secretFor(scope)
      const data = await inARow(secret, (held) => seals.seal(place, call.data, { secret: held }))
      const given: NewCall = { ...call, data }
      if (maxOpenBytes !== undefined) given.maxOpenBytes = seals.sizeOf(maxOpenBytes)
      const opened = await store.openCall(given)
      if (opened.status === 'opened') owners?.learn(scope, principal)
      return opened
    },
    appendCall: async (scope, callId, entries, close, effect) => {
      const sealed = await inARow(owners?.secretFor(scope), (secret) => ({
        entries: sealEntries(scope, callId, entries, secret),
        effect: effect && sealEffect(scope, effect, secret),
      }))
      return store.appendCall(scope, callId, sealed.entries, close, sealed.effect)
    },
    appendQuietly: async (scope, callId, entries) =>
      store.appendQuietly(
        scope,
        callId,
        await inARow(owners?.secretFor(scope), (secret) => sealEntries(scope, callId, entries, secret)),
      ),
    // A store knows a repeated claim by its data.
    claimCall: async (scope, callId, claim) => {
      const secret = owners && (await owners.secretFor(scope))
      const data = seals.seal(logPlace(scope, `call:${callId}`), claim.data, { again: true, secret })
      return store.claimCall(scope, callId, { ...claim, data })
    },
    writeValue: async (scope, key, expected, data, options = {}) => {
      const { begins, mark, formerMark } = options
      const secret =
        owners && (await (begins ? owners.secretOfNew(begins.principal) : owners.secretFor(scope)))
      const sealed = data === undefined ? undefined : seals.seal(valuePlace(scope, key), data, { secret })
      const marked = mark === undefined ? options : { ...options, ...hidden(mark, formerMark) }
      return store.writeValue(scope, key, expected, sealed, sized(marked))
    },
    changeMap: async (map, { set, remove }, given, former) => {
      const sealed = set.map(([key, value]) => [key, seals.seal(mapPlace(map, key), value)] as const)
      const { mark, formerMark } = given === undefined ? {} : hidden(given, former)
      return store.changeMap(map, { set: sealed, remove }, mark, formerMark)
    },
  }
}

/** A mark names a step or an alias, which tools choose. Earlier versions have left it as it is. */
const hidden = (mark: string, formerMark: string | undefined) => ({
  mark: digest(mark),
  formerMark: formerMark === undefined ? mark : digest(formerMark),
})
