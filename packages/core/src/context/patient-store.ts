import { isSealed } from '../errors.js'
import type { LazyAbort } from '../lazy-abort.js'
import { whileStoreFails } from '../store/retry.js'
import type { ContextStore } from '../store/context-store.js'
import { untilAborted } from './timers.js'

type Reader = {
  lifetime: LazyAbort
  during: <T>(reading: Promise<T>) => Promise<T>
  /** The call leaves this node, since it needs what can't be opened here; its handler is stopped then. */
  handBack: () => boolean
}

/** The store as a running call sees it: while it is away the call waits, as it does with its own records. */
export function patientStore(store: ContextStore, { lifetime, during, handBack }: Reader): ContextStore {
  const patiently = <T>(operation: () => Promise<T>) => {
    lifetime.throwIfAborted()
    return during(untilAborted(lifetime.signal, () => whileStoreFails(operation, lifetime))).catch(
      (error: unknown) => {
        if (isSealed(error) && handBack()) lifetime.throwIfAborted()
        throw error
      },
    )
  }
  return {
    readValue: async (scope, key) => patiently(() => store.readValue(scope, key)),
    writeValue: (...write) =>
      // Not to be repeated without a mark: after a time-out its own success would look like a conflict.
      write[4]?.mark === undefined ? store.writeValue(...write) : patiently(() => store.writeValue(...write)),
    beginScope: async (...begin) => patiently(() => store.beginScope(...begin)),
    useScope: async (...use) => patiently(() => store.useScope(...use)),
    changeMap: async (map, change, mark) => patiently(() => store.changeMap(map, change, mark)),
    readMap: async (map, keys) => patiently(() => store.readMap(map, keys)),
    rangeMap: async (map, range) => patiently(() => store.rangeMap(map, range)),
  }
}
