import { setTimeout as sleep } from 'node:timers/promises'
import { isRefused, SealError, StoreError } from '../errors.js'
import { BEGINNING, bytesOf } from './entries.js'
import type { Entry, EntryId } from './entries.js'
import type { LogName, Store } from './store.js'

const FIRST_MS = 50
const MOST_MS = 1000
const PAGE = 256
const PAGE_BYTES = 1 << 20

/** So long it is repeated what the store, being there, refuses, where somebody waits for it. */
export const REFUSED_FOR_MS = 2500

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
 * does with what the store, being there, has refused for `refusedForMs`, and at once with what it would refuse each time, or what
 * can't be opened here.
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
    const isFinal = isRefused(error) || error instanceof SealError
    if (!(error instanceof StoreError) || isFinal || signal.aborted) throw error
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

/**
 * A log from `after` on, page by page; nothing if there is none. Pages of large entries are short: nobody has to hold more than one.
 * `onGone`: it does not hold `after` any more.
 */
export async function* readPages(
  store: Store,
  scope: string,
  log: LogName,
  ending: Ending,
  { after: first = BEGINNING, onGone }: { after?: EntryId; onGone?: () => void } = {},
): AsyncGenerator<Entry[], void> {
  let after = first
  for (;;) {
    const from = after
    const page = await whileStoreFails(() => store.read(scope, log, from, PAGE, PAGE_BYTES), ending)
    if (!page) onGone?.()
    const last = page?.at(-1)
    if (!page || !last) return
    yield page
    if (page.length < PAGE && bytesOf(page) < PAGE_BYTES) return
    after = last.id
  }
}

/** All entries of a log that is known to be small. */
export async function readAll(store: Store, scope: string, log: LogName, ending: Ending): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const page of readPages(store, scope, log, ending)) entries.push(...page)
  return entries
}
