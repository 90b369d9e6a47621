import type { Membership } from './call/membership.js'
import { checkMs } from './check-ms.js'
import { startTimer } from './timers.js'

/** How a node is. `ready` is what a readiness check asks for, `live` a liveness check. */
export type Health = {
  /** It can serve requests now. False while it starts, while the store is away, and from `drain()` or `close()` on. */
  ready: boolean
  /** A restart would change nothing for the better. False once `close()` has ended; the process should be gone then. */
  live: boolean
  /** `latencyMs`: how long it took to answer; `undefined` if it did not. */
  store: { reachable: boolean; latencyMs: number | undefined }
  /** The store has heard this node lately, so its calls are not taken over. */
  beating: boolean
  /** The store knows that this node listens for wake-ups. */
  listening: boolean
  /** `drain()` or `close()` was called: calls that run may still end here. */
  leaving: boolean
}

export type HealthOptions = {
  /** A store that has not answered by then counts as away, in ms. 0: it is not asked, as `live` needs no store. Default: 500. */
  timeoutMs?: number
}

/** What `close()` has come to. */
export type Closing = { leaving: boolean; closed: boolean }

export async function healthOf(
  membership: Membership,
  { leaving, closed }: Closing,
  { timeoutMs = 500 }: HealthOptions,
): Promise<Health> {
  checkMs('health(): `timeoutMs`', timeoutMs)
  const beganAt = performance.now()
  const isAsked = !closed && timeoutMs > 0
  const seen = isAsked ? await answerWithin(timeoutMs, membership.seen()) : undefined
  const latencyMs = seen && performance.now() - beganAt
  const { beating = false, listening = false } = seen ?? {}
  return {
    ready: beating && listening && !leaving,
    live: !closed,
    store: { reachable: seen !== undefined, latencyMs },
    beating,
    listening,
    leaving,
  }
}

/** `undefined`: it failed, or did not come in time. */
async function answerWithin<T>(ms: number, answer: Promise<T>): Promise<T | undefined> {
  let callOff: () => void = () => undefined
  const late = new Promise<undefined>((resolve) => {
    callOff = startTimer(ms, () => resolve(undefined))
  })
  try {
    return await Promise.race([answer, late])
  } catch {
    return undefined
  } finally {
    callOff()
  }
}
