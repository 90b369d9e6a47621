import type { Logger } from './logger.js'
import type { DurableOptions } from './options.js'
import type { Store, StoreOptions } from './store/store.js'

type Sharing = Pick<DurableOptions, 'name' | 'server' | 'handler' | 'upstream' | 'stdio'>
/** Who uses a store object in this process; and whether several did that have no name. */
type Users = { all: Set<Sharing>; several: boolean }
const users = new WeakMap<Store, Users>()

/**
 * The store as one `durable()` uses it, and what closes its part of it: the store object that was given stays open until
 * the last one of those that share it is done.
 *
 * `isShared`: another `durable()` without a name is at it, or was, so that of two sessions each may be another server's.
 *
 * Warns of a `durable()` that is at the same store object under the same name, and serves something else: as far as the
 * code of its factory tells. Nodes on other machines are looked at later, when servers have told their names.
 */
export function shareStore(
  given: Store,
  { keeping, ...own }: Sharing & Pick<StoreOptions, 'keeping'>,
  logger: Logger,
): { store: Store; isShared: () => boolean; close: () => Promise<void> } {
  const using = users.get(given) ?? { all: new Set<Sharing>(), several: false }
  users.set(given, using)
  const { all } = using
  const isOther = ({ name, ...served }: Sharing) => name === own.name && codeOf(served) !== codeOf(own)
  if ([...all].some(isOther)) logger.warn({}, SHARED)
  all.add(own)
  if ([...all].filter(({ name }) => name === undefined).length > 1) using.several = true
  // The store itself where nothing else is wanted of it.
  const store =
    own.name === undefined && keeping === undefined ? given : given.open({ name: own.name, keeping })
  const close = async () => {
    all.delete(own)
    if (store !== given) await store.close()
    if (all.size === 0) await given.close()
  }
  return { store, isShared: () => own.name === undefined && using.several, close }
}

const codeOf = ({ server, handler, upstream, stdio }: Omit<Sharing, 'name'>) =>
  String(server ?? handler ?? upstream ?? JSON.stringify(stdio))

const SHARED =
  'two durable() with different servers use one store under the same name. Give each server its own name: ' +
  "durable({ name: 'orders', … })"
