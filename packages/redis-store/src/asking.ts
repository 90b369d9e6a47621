import type { Deadline } from './deadline.js'
import { storeError } from './errors.js'

const ASKS = '?'

/** The names that a script has answered with because it lacks their keys; `undefined`: it answers something else. */
export function askedNames(reply: unknown): string[] | undefined {
  if (!Array.isArray(reply) || reply[0] !== ASKS) return undefined
  return (reply as string[]).slice(1)
}

/**
 * Runs a script that finds out within which keys it needs. It changes nothing before it has all of them, and looks for itself
 * each time: what has come or gone meanwhile it sees. `base`: what stands before their names.
 */
export async function runWithKeys(
  base: string,
  deadline: Deadline,
  run: (found: readonly string[]) => Promise<unknown>,
): Promise<unknown> {
  const found = new Set<string>()
  for (;;) {
    const reply = await run([...found])
    const names = askedNames(reply)
    if (!names) return reply
    // Others go on adding to what is to be looked at.
    if (deadline.passed) throw storeError(deadline.error(), false)
    for (const name of names) found.add(`${base}:${name}`)
  }
}
