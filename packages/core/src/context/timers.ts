import { Members } from '../members.js'

/** Timers of Node.js beyond it fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** Calls `action` once the clock has reached `time` (ms since 1970), however far that is. Returns how to call it off. */
export function startTimer(time: number, action: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const wait = () => {
    const left = time - Date.now()
    if (left > 0) timer = setTimeout(wait, Math.min(left, MAX_TIMER_MS))
    else action()
  }
  wait()
  return () => clearTimeout(timer)
}

/** Resolves once the clock has reached `time`; rejects with the signal's reason when that fires first. */
export function sleepUntil(time: number, signal: AbortSignal): Promise<void> {
  let callOff: () => void = () => undefined
  const slept = new Promise<void>((resolve) => {
    callOff = startTimer(time, resolve)
  })
  return untilAborted(signal, () => slept).finally(callOff)
}

/** What `work` comes to, or the signal's reason as soon as it fires. The work itself goes on; its end is ignored then. */
export function untilAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const working = work()
    const stop = () => reject(signal.reason as Error)
    if (signal.aborted) stop()
    const leave = stopsOf(signal).add(stop)
    const succeed = (value: T) => {
      leave()
      resolve(value)
    }
    const fail = (error: Error) => {
      leave()
      reject(error)
    }
    working.then(succeed, fail)
  })
}

/** What is to be stopped when a signal fires. One listener for all: a call may take very many steps. */
const stopsBySignal = new WeakMap<AbortSignal, Members<() => void>>()

function stopsOf(signal: AbortSignal): Members<() => void> {
  const known = stopsBySignal.get(signal)
  if (known) return known
  const stops = new Members<() => void>()
  stopsBySignal.set(signal, stops)
  const stopAll = () => {
    for (const stop of stops) stop()
  }
  signal.addEventListener('abort', stopAll, { once: true })
  return stops
}
