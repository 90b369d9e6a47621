import { setTimeout as sleep } from 'node:timers/promises'

export interface WaitForOptions {
  /** Milliseconds until it gives up; default 20 s: less than after what a node looks again at what it was not told. */
  timeoutMs?: number
  /** Milliseconds between two looks; default 20 ms. */
  intervalMs?: number
  /** What is waited for, for the error message. */
  what?: string
}

/**
 * Polls until `condition` returns something truthy, and returns that. A throw of the condition counts as
 * "not yet"; the last one becomes the cause of the timeout error. Use it only where no event tells.
 */
export async function waitFor<T>(condition: () => T | Promise<T>, options: WaitForOptions = {}) {
  const { timeoutMs = 20_000, intervalMs = 20, what = 'the condition' } = options
  const deadline = Date.now() + timeoutMs
  let cause: unknown
  do {
    try {
      const value = await condition()
      if (value) return value as Exclude<T, false | 0 | '' | null | undefined>
      cause = undefined
    } catch (error) {
      cause = error
    }
    await sleep(intervalMs)
  } while (Date.now() < deadline)
  throw new Error(`${what} did not come true within ${timeoutMs} ms`, { cause })
}
