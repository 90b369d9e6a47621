import { StoreError } from '../errors.js'
import type { Store } from '../store/store.js'
import type { Events } from './events.js'

type Operation = (...args: unknown[]) => unknown
type Tell<Name extends keyof Events> = ((event: Events[Name]) => void) | undefined

/** The same store, watched: how long operations take, how they fail, and which appends are refused to this node. */
export function observedStore(
  store: Store,
  operation: Tell<'storeOperation'>,
  fenced: Tell<'fenced'>,
): Store {
  const observed = new Map<string | symbol, Operation>()
  return new Proxy(store, {
    get(target, name) {
      const known = observed.get(name)
      if (known) return known
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      const run: Operation = (...args) => Reflect.apply(member, target, args) as unknown
      const made = name === 'close' ? run : observe(String(name), run, operation, fenced)
      observed.set(name, made)
      return made
    },
  })
}

function observe(
  name: string,
  run: Operation,
  operation: Tell<'storeOperation'>,
  fenced: Tell<'fenced'>,
): Operation {
  return async (...args) => {
    const beganAt = performance.now()
    const tell = (error: Events['storeOperation']['error']) =>
      operation?.({ operation: name, error, durationMs: performance.now() - beganAt })
    try {
      const outcome = await run(...args)
      tell(undefined)
      if (outcome === 'fenced') fenced?.(placeOf(args))
      return outcome
    } catch (error) {
      tell(error instanceof StoreError ? error.code : 'unknown')
      throw error
    }
  }
}

/** Of an append to a journal. A call without a session has a scope of its own name, unless it has an idempotency key. */
function placeOf([scope, callId]: unknown[]): Events['fenced'] {
  return { sessionId: scope === callId ? undefined : String(scope), callId: String(callId) }
}
