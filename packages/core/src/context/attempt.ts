import { startTimer } from '../timers.js'
import type { MaybePromise } from './maybe-promise.js'

/** Makes the error of a body that took longer. */
type Late = (ms: number) => Error

/** What a body listens to; the signal is made when it is first asked for. */
export type Ending = { readonly signal: AbortSignal }

/**
 * Runs a body once, with a signal that fires when `outer` does or when the time is up. After a time-out the body
 * is left to itself. When `outer` fires the body is waited for: how it ends may still be worth a record.
 */
export function runAttempt<T>(
  outer: Ending,
  ms: number | undefined,
  late: Late,
  body: (ending: Ending) => MaybePromise<T>,
): MaybePromise<T> {
  return ms === undefined ? body(outer) : runWithin(outer.signal, ms, late, body)
}

async function runWithin<T>(
  outer: AbortSignal,
  ms: number,
  late: Late,
  body: (ending: Ending) => MaybePromise<T>,
): Promise<T> {
  const attempt = new AbortController()
  const stop = () => attempt.abort(outer.reason)
  outer.addEventListener('abort', stop, { once: true })
  let callOff: () => void = () => undefined
  const timedOut = new Promise<never>((_resolve, reject) => {
    callOff = startTimer(ms, () => {
      // First the rejection: a body that obeys the signal throws something less telling.
      reject(late(ms))
      attempt.abort(late(ms))
    })
  })
  try {
    return await Promise.race([body(attempt), timedOut])
  } finally {
    callOff()
    outer.removeEventListener('abort', stop)
  }
}
