import { AsyncLocalStorage } from 'node:async_hooks'

/** Runs work that belongs to no call although a call may have set it off: the context of when this module was loaded. */
export const outside: <T>(work: () => T) => T = AsyncLocalStorage.snapshot()
