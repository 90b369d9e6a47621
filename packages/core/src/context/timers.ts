import { Members } from '../members.js'

/** Resolves once what `start` has started says so; rejects with the signal's reason when that fires first. `start` returns how to call it off. */
export function waitFor(signal: AbortSignal, start: (done: () => void) => () => void): Promise<void> {
  let callOff: () => void = () => undefined
  const slept = new Promise<void>((resolve) => {
    callOff = start(resolve)
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
