const DEFAULT_MS = 20_000

/** The promise, or an error that says what was waited for: a bound for the worst case, never a measurement. */
export async function within<T>(promise: Promise<T>, what: string, ms = DEFAULT_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
