import { expect } from 'vitest'
import { crashRun } from '../src/crash-run.js'
import type { CrashScenario } from '../src/crash-run.js'
import type { CrashPoint } from '../src/crash-points.js'
import { store, twoAtATime } from './support.js'

export const NEVER: CrashPoint = { operation: 0, moment: 'never' }

/** Many run at once, on a machine that may have other work. */

type Scenario = Omit<CrashScenario, 'store'>

/**
 * The operations of the last mortal node. Messages that nobody waits for may go out together, so that some runs take an
 * operation more than others: the fewest count.
 */
export async function fewestOperations(scenario: Scenario): Promise<readonly string[]> {
  const operations = async () =>
    (await twoAtATime(() => crashRun({ store, ...scenario }))).operations.at(-1) ?? []
  const runs = await Promise.all([operations(), operations(), operations()])
  return runs.reduce((fewest, run) => (run.length < fewest.length ? run : fewest))
}

export const numbered = (names: readonly string[]) =>
  names.map((name, index) => ({ operation: index + 1, name }))

export async function expectNothingBroken(scenario: Scenario) {
  for (let tries = 1; ; tries++) {
    const { violations, details, operations } = await twoAtATime(() => crashRun({ store, ...scenario }))
    expect(violations, details).toEqual([])
    if (scenario.points.every(({ operation }, index) => (operations[index]?.length ?? 0) >= operation)) return
    expect(tries, `it did not get so far: ${JSON.stringify(operations)}`).toBeLessThan(4)
  }
}
