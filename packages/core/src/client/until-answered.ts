import { attempt } from './attempt.js'
import type { Accept, Failure } from './attempt.js'
import { Patience, pause } from './patience.js'
import type { RetrySettings } from './retry-options.js'

type Sending<T> = {
  url: string | URL
  init: RequestInit
  accept: Accept<T>
  /** Asked before each further attempt. `unsure`: an earlier one may have been carried out. */
  mayRepeat: (unsure: boolean) => boolean
  /** The request was cancelled in another way than by the signal of its caller: no more attempts. */
  cancelled?: AbortSignal
  settings: RetrySettings
}

/** Sends until there is an answer. `failure`: of the last attempt. Throws only what the signal of the caller says. */
export async function untilAnswered<T>(
  sending: Sending<T>,
): Promise<{ answer: T; unsure: boolean } | { failure: Failure }> {
  const { url, init, accept, mayRepeat, cancelled, settings } = sending
  const patience = new Patience(settings)
  let unsure = false
  for (;;) {
    const attempted = await attempt(url, init, accept, settings)
    if ('answer' in attempted) return { answer: attempted.answer, unsure }
    const { failure } = attempted
    unsure ||= failure.unsure
    const delayMs = !cancelled?.aborted && mayRepeat(unsure) ? patience.next(failure) : undefined
    if (delayMs === undefined) return { failure }
    settings.onRetry?.({
      method: init.method ?? 'GET',
      failed: patience.failed,
      delayMs,
      reason: failure.reason,
    })
    await pause(delayMs, [init.signal, cancelled])
    init.signal?.throwIfAborted()
    if (cancelled?.aborted) return { failure }
  }
}
