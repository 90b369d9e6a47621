/** Timers of Node.js beyond it fire at once. */
const LONGEST_MS = 2 ** 31 - 1

/** Whether the process stays for it. */
type Ref = { ref?: boolean }

/** Calls `action` after `ms`, however long that is; after `Infinity` never. Returns how to call it off. */
export function startTimer(ms: number, action: () => void, { ref = true }: Ref = {}): () => void {
  const due = performance.now() + ms
  let timer: NodeJS.Timeout
  const wait = (left: number) => {
    timer = left > LONGEST_MS ? setTimeout(goOn, LONGEST_MS) : setTimeout(action, left)
    if (!ref) timer.unref()
  }
  const goOn = () => wait(due - performance.now())
  wait(ms)
  return () => clearTimeout(timer)
}

/** Calls `action` once the clock has reached `time` (ms since 1970), however far that is. Returns how to call it off. */
export function startAlarm(time: number, action: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const wait = () => {
    const left = time - Date.now()
    if (left > 0) timer = setTimeout(wait, Math.min(left, LONGEST_MS))
    else action()
  }
  wait()
  return () => clearTimeout(timer)
}

/** Resolves after `ms`, however long that is, or as soon as the signal fires. */
export function sleepFor(
  ms: number,
  { signal, ref = true }: Ref & { signal?: AbortSignal } = {},
): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const end = () => {
      callOff()
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const callOff = startTimer(ms, end, { ref })
    signal?.addEventListener('abort', end)
  })
}
