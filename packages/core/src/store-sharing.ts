import type { Logger } from './logger.js'
import type { DurableOptions } from './options.js'
import type { Store } from './store/store.js'

type Sharing = Pick<DurableOptions, 'name' | 'server' | 'handler' | 'upstream'>
/** Who is at a store object in this process, until it is closed. */
const sharing = new WeakMap<Store, Set<Sharing>>()

/**
 * Warns of a `durable()` that is at the same store object under the same name, and serves something else: as far as the
 * code of its factory tells. Nodes on other machines are looked at later, when servers have told their names.
 */
export function noteSharing(store: Store, options: Sharing, logger: Logger): () => void {
  const others = sharing.get(store) ?? new Set<Sharing>()
  sharing.set(store, others)
  const isOther = ({ name, ...served }: Sharing) =>
    name === options.name && codeOf(served) !== codeOf(options)
  if ([...others].some(isOther)) logger.warn({}, SHARED)
  const own = { ...options }
  others.add(own)
  return () => void others.delete(own)
}

const codeOf = ({ server, handler, upstream }: Omit<Sharing, 'name'>) => String(server ?? handler ?? upstream)

const SHARED =
  'two durable() with different servers use one store under the same name: each takes the sessions and calls of the ' +
  "other for its own. Give each server its own name: durable({ name: 'orders', … })"
