import type { Store, StoreOptions } from '../store/store.js'
import { checkSeal } from './check-seal.js'
import { overriding } from './overriding.js'
import { readOperations } from './reads.js'
import { Seals } from './seals.js'
import type { SealOptions } from './seals.js'
import { writeOperations } from './writes.js'

/** The seals of stores that have some, to tell them from others. */
const sealed = new WeakMap<Store, Seals>()

/**
 * The same store, in which all that clients, tools and users put is sealed: messages, results, steps, states, maps, histories. Limits in bytes are
 * compared with what is stored, which is a third more and about 60 bytes for each record. Every operation that reads may throw a `SealError`.
 * Throws a `TypeError` for what is no key.
 */
export function sealedStore(store: Store, options: SealOptions): Store {
  checkSeal('sealedStore()', options)
  if (sealed.has(store))
    throw new TypeError('sealedStore(): what the store holds is sealed already. Seal it once.')
  return sealWith(store, new Seals(options))
}

/** The store of a node. `own`: the same, as it was given: it may be sealed already. */
export function sealedFor(options: SealOptions | undefined, own: Store, store: Store): Store {
  if (options === undefined) return sealed.has(own) ? store : sealWith(store, new Seals({ keys: [] }))
  checkSeal('durable(): `seal`', options)
  if (sealed.has(own)) throw new TypeError('durable(): its `store` is sealed already: leave `seal` out.')
  return sealWith(store, new Seals(options))
}

/** A store that somebody has given who has said nothing of keys: what is sealed is not taken for what it is not. */
export function recognising<S extends Partial<Store>>(store: S): S {
  const whole = store as unknown as Store
  return sealedFor(undefined, whole, whole) as unknown as S
}

/** Without a key nothing is sealed, and what another node has sealed is recognised. */
function sealWith(store: Store, seals: Seals): Store {
  const open = (given: StoreOptions) => sealWith(store.open(given), seals)
  // It compares what is stored, which is not what is given here.
  const read = { ...readOperations(store, seals), open, replaceInMap: undefined }
  const isSealing = seals.keys.current !== undefined
  const made = overriding(store, isSealing ? { ...read, ...writeOperations(store, seals) } : read)
  sealed.set(made, seals)
  return made
}
