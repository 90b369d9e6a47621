import { expect } from 'vitest'
import { crashRun } from '../src/crash-run.js'
import type { CrashScenario } from '../src/crash-run.js'
import type { CrashPoint } from '../src/crash-points.js'
import { store, twoAtATime } from './support.js'

export const NEVER: CrashPoint = { operation: 0, moment: 'never' }

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

/** How much of those that were counted a run has at least: what others had to read may be in its memory already. */
const AT_LEAST = 0.9

export async function expectNothingBroken(scenario: Scenario) {
  let { points } = scenario
  for (let tries = 1; ; tries++) {
    const run = await twoAtATime(() => crashRun({ store, ...scenario, points }))
    expect(run.violations, run.details).toEqual([])
    const reached = points.map((_, index) => run.operations[index]?.length ?? 0)
    if (points.every(({ operation }, index) => reached[index]! >= operation)) return
    expect(tries, `it did not get so far: ${JSON.stringify(run.operations)}`).toBeLessThan(4)
    points = points.map((point, index) => {
      const operation = Math.min(point.operation, reached[index]!)
      return operation < AT_LEAST * point.operation ? point : { ...point, operation }
    })
  }
}
