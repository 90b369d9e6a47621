import { AsyncLocalStorage } from 'node:async_hooks'

/** What the code that runs now runs for. One store for all of it: each one more costs something at every promise. */
export type AsyncScope = {
  /** The dispatched request in whose handler it runs. */
  run?: unknown
  /** The step in whose body it runs. */
  step?: unknown
  /** Old session state is given to a server object again, until it is over. */
  replay?: { over: boolean }
}

const scopes = new AsyncLocalStorage<AsyncScope>()

export function currentScope(): AsyncScope {
  return scopes.getStore() ?? NONE
}

export function runInScope<Args extends unknown[], T>(
  scope: AsyncScope,
  work: (...args: Args) => T,
  ...args: Args
): T {
  return scopes.run(scope, work, ...args)
}

const NONE: AsyncScope = Object.freeze({})
