import { AsyncLocalStorage } from 'node:async_hooks'

/** What the code that runs now runs for. One store for all of it: each one more costs something at every promise. */
export class AsyncScope {
  /**
   * `run`: the dispatched request in whose handler it runs. `step`: the step in whose body. `replay`: old session state is given to
   * a server object again, until it is over.
   */
  constructor(
    readonly run?: unknown,
    readonly step?: unknown,
    readonly replay?: { over: boolean },
  ) {}
}

const scopes = new AsyncLocalStorage<AsyncScope>()

export function currentScope(): AsyncScope {
  return scopes.getStore() ?? NONE
}

let followed = 0

/**
 * Scopes are followed until what this returns is called, which is when the code that runs in one has ended. As long as
 * they are, all promises of the process take longer on Node.js 20, so they are not while no handler runs.
 */
export function followScopes(): () => void {
  let over = false
  followed++
  return () => {
    if (over) return
    over = true
    if (--followed === 0) scopes.disable()
  }
}

/** Whatever `work` leaves running is in the scope for as long as scopes are followed. */
export function runInScope<T, Args extends unknown[]>(
  scope: AsyncScope,
  work: (...args: Args) => T,
  ...args: Args
): T {
  return scopes.run(scope, work, ...args)
}

const NONE = new AsyncScope()
