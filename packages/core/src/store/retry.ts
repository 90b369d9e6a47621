import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError } from '../errors.js'
import { BEGINNING } from './store.js'
import type { Entry, LogName, Store } from './store.js'

const FIRST_MS = 50
const MOST_MS = 1000
const PAGE = 256

/** What ends a wait; its signal is asked for only when there is something to wait for. */
export type Ending = { readonly signal: AbortSignal }

/** An end to a wait that is to last for `ms` at most, from when it has begun. */
export function within(ms: number): Ending {
  let signal: AbortSignal | undefined
  return {
    get signal() {
      return (signal ??= AbortSignal.timeout(ms))
    },
  }
}

/**
 * Repeats a repeatable store operation while the store fails, until `ending` fires; then throws its last error. So it
 * does with what the store, being there, has refused for `refusedForMs`.
 */
export function whileStoreFails<T>(
  operation: () => Promise<T>,
  ending: Ending,
  refusedForMs = Number.POSITIVE_INFINITY,
): Promise<T> {
  // Nearly always this is all, and costs as little as it can.
  return operation().catch((error: unknown) => repeatWhileStoreFails(operation, error, ending, refusedForMs))
}

/** As `whileStoreFails`, after a first failure. */
export async function repeatWhileStoreFails<T>(
  operation: () => Promise<T>,
  failure: unknown,
  { signal }: Ending,
  refusedForMs = Number.POSITIVE_INFINITY,
): Promise<T> {
  let error = failure
  let refusedSince: number | undefined
  for (let delay = FIRST_MS; ; delay = Math.min(delay * 2, MOST_MS)) {
    if (!(error instanceof StoreError) || signal.aborted) throw error
    refusedSince = error.code === 'store-failed' ? (refusedSince ?? performance.now()) : undefined
    if (refusedSince !== undefined && performance.now() - refusedSince >= refusedForMs) throw error
    await sleep(delay, undefined, { signal }).catch(() => undefined)
    try {
      return await operation()
    } catch (again) {
      error = again
    }
  }
}

/** An operation that throws at once fails like any other. */
export function begun<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return operation()
  } catch (error) {
    return Promise.reject(error instanceof Error ? error : new Error(String(error)))
  }
}

/** A whole log, page by page; `[]` if there is none. */
export async function readAll(store: Store, scope: string, log: LogName, ending: Ending): Promise<Entry[]> {
  const entries: Entry[] = []
  for (;;) {
    const after = entries.at(-1)?.id ?? BEGINNING
    const page = await whileStoreFails(() => store.read(scope, log, after, PAGE), ending)
    entries.push(...(page ?? []))
    if (!page || page.length < PAGE) return entries
  }
}
