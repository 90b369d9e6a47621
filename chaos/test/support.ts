/** The Redis of the test run, unless another store is wanted: `CHAOS_STORE=sqlite npx vitest run chaos`. */
export const store = process.env['CHAOS_STORE'] ?? process.env['REDIS_URL'] ?? ''

const AT_A_TIME = 2
const waiting: (() => void)[] = []
let running = 0

/** Runs the work when less than two others run: each is several processes. */
export async function twoAtATime<T>(work: () => Promise<T>): Promise<T> {
  if (running === AT_A_TIME) await new Promise<void>((resolve) => waiting.push(resolve))
  else running++
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    if (next) next()
    else running--
  }
}
