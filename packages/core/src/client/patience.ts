import { startTimer } from '../timers.js'
import type { RetrySettings } from './retry-options.js'

/**
 * How long to go on with one request. A connection that held for longer than the longest delay was a healthy one: its
 * break begins a new count. Otherwise a server that accepts and breaks at once would never be given up.
 */
export class Patience {
  readonly #settings: RetrySettings
  #failed = 0
  #since = 0

  constructor(settings: RetrySettings) {
    this.#settings = settings
  }

  get failed() {
    return this.#failed
  }

  /** How long to wait before the next attempt; `undefined`: no more. `heldMs`: how long the response had been coming. */
  next({ heldMs, retryAfterMs }: { heldMs: number; retryAfterMs: number }): number | undefined {
    const { giveUpAfterMs, initialDelayMs, maxDelayMs } = this.#settings
    if (this.#failed === 0 || heldMs > maxDelayMs) {
      this.#failed = 0
      this.#since = Date.now()
    }
    this.#failed++
    const delay = Math.min(initialDelayMs * 2 ** (this.#failed - 1), maxDelayMs) * (1 - Math.random() / 2)
    const wait = Math.max(delay, retryAfterMs)
    const left = this.#since + giveUpAfterMs - Date.now()
    return wait <= left ? wait : undefined
  }
}

/** `Retry-After` in ms, from seconds or a date (RFC 9110, section 10.2.3); 0 without one. */
export function readRetryAfter(response: Response): number {
  const text = response.headers.get('retry-after')?.trim() ?? ''
  if (/^\d+$/.test(text)) return Number(text) * 1000
  const date = Date.parse(text)
  return Number.isNaN(date) ? 0 : Math.max(0, date - Date.now())
}

/** Resolves after `ms`, or as soon as one of the signals fires. */
export function pause(ms: number, signals: readonly (AbortSignal | null | undefined)[]): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      callOff()
      for (const signal of signals) signal?.removeEventListener('abort', end)
      resolve()
    }
    const callOff = startTimer(ms, end)
    for (const signal of signals) signal?.addEventListener('abort', end)
    if (signals.some((signal) => signal?.aborted)) end()
  })
}
