import type { Store, StoreOptions } from '../store/store.js'
import { checkSeal } from './check-seal.js'
import { overriding } from './overriding.js'
import { Owners } from './owners.js'
import { readOperations } from './reads.js'
import { Seals } from './seals.js'
import type { SealOptions } from './seals.js'
import { Secrets } from './secrets.js'
import { writeOperations } from './writes.js'

/** Of stores that seal, or recognise what is sealed: the ids of their keys, the one that seals first. */
const sealed = new WeakMap<Store, readonly string[]>()

/**
 * The same store, in which all that clients, tools and users put is sealed: messages, results, steps, states, maps, histories. Limits in bytes are
 * compared with what is stored, which is a third more and about 60 bytes for each record. Every operation that reads may throw a `SealError`.
 * Throws a `TypeError` for what is no key.
 */
export function sealedStore(store: Store, options: SealOptions): Store {
  checkSeal('sealedStore()', options)
  if (sealed.has(store))
    throw new TypeError('sealedStore(): what the store holds is sealed already. Seal it once.')
  requireApart('sealedStore()', options, [store])
  return sealWith(store, options)
}

/** The store of a node. `own`: the same, as it was given: it may be sealed already. */
export function sealedFor(options: SealOptions | undefined, own: Store, store: Store): Store {
  if (options === undefined) return sealed.has(own) ? store : sealWith(store, { keys: [] })
  checkSeal('durable(): `seal`', options)
  if (sealed.has(own)) throw new TypeError('durable(): its `store` is sealed already: leave `seal` out.')
  requireApart('durable(): `seal`', options, [own, store])
  return sealWith(store, options)
}

/** The ids of the keys that a store has, the one that seals first; `undefined`: it does not seal. */
export function sealKeysOf(store: Store): readonly string[] | undefined {
  const ids = sealed.get(store)
  return ids && ids.length > 0 ? ids : undefined
}

/** A store that somebody has given who has said nothing of keys: what is sealed is not taken for what it is not. */
export function recognising<S extends Partial<Store>>(store: S): S {
  const whole = store as unknown as Store
  return sealedFor(undefined, whole, whole) as unknown as S
}

/** In one store, each copy of what the secrets have sealed would have them with it. */
function requireApart(where: string, { secrets }: SealOptions, stores: readonly Store[]) {
  if (secrets === undefined) return
  if (stores.includes(secrets) || sealed.has(secrets))
    throw new TypeError(
      `${where}: \`secrets\` is another store than the one that is sealed, and is not sealed itself: what is in it is sealed with \`keys\`.`,
    )
}

/** Without a key nothing is sealed, and what another node has sealed is recognised. */
function sealWith(store: Store, options: SealOptions): Store {
  const seals = new Seals(options)
  const secrets = options.secrets && new Secrets(options.secrets, seals)
  return sealedBy(store, seals, secrets)
}

function sealedBy(store: Store, seals: Seals, secrets: Secrets | undefined): Store {
  const open = (given: StoreOptions) => sealedBy(store.open(given), seals, secrets)
  const owners = secrets && new Owners(store, secrets)
  // It compares what is stored, which is not what is given here.
  const read = { ...readOperations(store, seals, { secrets, owners }), open, replaceInMap: undefined }
  const isSealing = seals.keys.current !== undefined
  const writing = isSealing ? writeOperations(store, seals, owners) : {}
  const made = overriding(store, {
    ...read,
    ...writing,
    ...(secrets && { forget: forgetting(store, secrets) }),
  })
  sealed.set(made, seals.keys.ids)
  return made
}

/** The secret goes first: should the process die then, nobody can read what is left. */
const forgetting =
  (store: Store, secrets: Secrets): Store['forget'] =>
  async (what) => {
    if ('principal' in what) await secrets.forget(what.principal)
    return store.forget(what)
  }
