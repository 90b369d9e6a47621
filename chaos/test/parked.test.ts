import { describe, expect, test } from 'vitest'
import { moments } from '../src/crash-points.js'
import type { CrashPoint } from '../src/crash-points.js'
import { parkedRun } from '../src/parked-run.js'
import { store, twoAtATime } from './support.js'

// A call that waits for its client is parked, and its client comes back to the next node: each of the two is killed at every
// operation that it sends to the store.

const never: CrashPoint = { operation: 0, moment: 'never' }

const undisturbed = await parkedRun({ store, points: [never, never] })
const [first = [], second = []] = undisturbed.operations
const numbered = (names: readonly string[]) => names.map((name, index) => ({ operation: index + 1, name }))

test('without a death, each node parks the call, and the next one claims it', () => {
  expect(undisturbed.violations, undisturbed.details).toEqual([])
  const changesOwner = (name: string) => name === 'openCall' || name === 'claimCall'
  expect(first.filter(changesOwner)).toEqual(['openCall', 'claimCall'])
  expect(second.filter(changesOwner)).toEqual(['claimCall', 'claimCall'])
})

describe.each(moments)('the node that asks is killed: %s', (moment) => {
  test.concurrent.each(numbered(first))('operation $operation, $name', async ({ operation }) => {
    const run = () => parkedRun({ store, points: [{ operation, moment }, never] })
    const { violations, details } = await twoAtATime(run)
    expect(violations, details).toEqual([])
  })
})

describe.each(moments)('the node to which the client comes back is killed: %s', (moment) => {
  test.concurrent.each(numbered(second))('operation $operation, $name', async ({ operation }) => {
    const run = () => parkedRun({ store, points: [never, { operation, moment }] })
    const { violations, details } = await twoAtATime(run)
    expect(violations, details).toEqual([])
  })
})
