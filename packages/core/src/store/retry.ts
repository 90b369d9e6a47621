import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError } from '../errors.js'
import { BEGINNING } from './store.js'
import type { Entry, LogName, Store } from './store.js'

const FIRST_MS = 50
const MOST_MS = 1000
const PAGE = 256

/**
 * Repeats a repeatable store operation while the store fails, until `signal` fires; then throws its last error. So it
 * does with what the store, being there, has refused for `refusedForMs`.
 */
export async function whileStoreFails<T>(
  operation: () => Promise<T>,
  signal: AbortSignal,
  refusedForMs = Number.POSITIVE_INFINITY,
): Promise<T> {
  let refusedSince: number | undefined
  for (let delay = FIRST_MS; ; delay = Math.min(delay * 2, MOST_MS)) {
    try {
      return await operation()
    } catch (error) {
      if (!(error instanceof StoreError) || signal.aborted) throw error
      refusedSince = error.code === 'store-failed' ? (refusedSince ?? performance.now()) : undefined
      if (refusedSince !== undefined && performance.now() - refusedSince >= refusedForMs) throw error
      await sleep(delay, undefined, { signal }).catch(() => undefined)
    }
  }
}

/** A whole log, page by page; `[]` if there is none. */
export async function readAll(
  store: Store,
  scope: string,
  log: LogName,
  signal: AbortSignal,
): Promise<Entry[]> {
  const entries: Entry[] = []
  for (;;) {
    const after = entries.at(-1)?.id ?? BEGINNING
    const page = await whileStoreFails(() => store.read(scope, log, after, PAGE), signal)
    entries.push(...(page ?? []))
    if (!page || page.length < PAGE) return entries
  }
}
