import { describe, expect, test } from 'vitest'
import { crashRun } from '../src/crash-run.js'
import { moments, pauses } from '../src/crash-points.js'
import type { CrashPoint } from '../src/crash-points.js'
import { redis, twoAtATime } from './support.js'

// A scenario with each kind of step meets a death at every operation that its owner sends to the store, and another
// node finishes it; then the node that takes over meets one at every operation of its own, and a third finishes.

const never: CrashPoint = { operation: 0, moment: 'never' }
/** Messages that nobody waits for may go out together, so that some runs take an operation more than others: the fewest count. */
async function fewestOperations(points: readonly CrashPoint[]): Promise<readonly string[]> {
  const runs = []
  for (let run = 0; run < 3; run++) runs.push((await crashRun({ redis, points })).operations.at(-1) ?? [])
  return runs.reduce((fewest, run) => (run.length < fewest.length ? run : fewest))
}
const first = await fewestOperations([never])
/** The first node asks, and dies: half of everything is in the journal. */
const halfway: CrashPoint = { operation: Math.ceil(first.length / 2), moment: 'after' }
const second = await fewestOperations([halfway, never])

const numbered = (names: readonly string[]) => names.map((name, index) => ({ operation: index + 1, name }))

async function expectNothingBroken(points: readonly CrashPoint[]) {
  for (let tries = 1; ; tries++) {
    const { violations, details, operations } = await twoAtATime(() => crashRun({ redis, points }))
    expect(violations, details).toEqual([])
    if (points.every(({ operation }, index) => (operations[index]?.length ?? 0) >= operation)) return
    expect(tries, `it did not get so far: ${JSON.stringify(operations)}`).toBeLessThan(4)
  }
}

test('the scenario has enough operations for the points to mean something', () => {
  expect(first.length).toBeGreaterThan(15)
  expect(first.slice(0, 2)).toEqual(['hold', 'openCall'])
  expect(second.slice(0, 3)).toEqual(['hold', 'claimCall', 'read'])
})

/** Many run at once, on a machine that may have other work. */
const PATIENCE = { timeout: 120_000 }

describe.each(moments)('the owner is killed: %s', (moment) => {
  test.concurrent.each(numbered(first))('operation $operation, $name', PATIENCE, async ({ operation }) => {
    await expectNothingBroken([{ operation, moment }])
  })
})

describe.each(moments)('the one that takes over is killed: %s', (moment) => {
  test.concurrent.each(numbered(second))('operation $operation, $name', PATIENCE, async ({ operation }) => {
    await expectNothingBroken([halfway, { operation, moment }])
  })
})

describe.each(pauses)('the owner is paused beyond its lease: %s', (moment) => {
  test.concurrent.each(numbered(first))('operation $operation, $name', PATIENCE, async ({ operation }) => {
    await expectNothingBroken([{ operation, moment }])
  })
})
