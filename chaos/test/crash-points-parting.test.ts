import { describe, expect, test } from 'vitest'
import type { CrashPoint, Moment } from '../src/crash-points.js'
import { partingRun } from '../src/parting-run.js'
import { store, twoAtATime } from './support.js'

// A call does not fit the code of the node that takes it over: this is killed at each operation by which it parks the call, and by
// which it tries it again when an operator says so; the node whose code fits, at each that it sends to the store from then on.

const point = (operation: number, moment: Moment): CrashPoint => ({ operation, moment, from: 'claimCall' })
const never = point(0, 'never')
/** After one is before the next. */
const MOMENTS = ['before', 'applied'] as const

const undisturbed = await partingRun({ store, points: [never, never] })
const [parking = [], fitting = []] = undisturbed.operations
/** To die before something is read or kept alive is to die before what is written next. */
const writes = (names: readonly string[]) =>
  names
    .map((name, index) => ({ operation: index + 1, name }))
    .filter(({ name }) => name === 'claimCall' || name.startsWith('append'))

test('without a crash, it is parked, tried again, parked again, and ended where the code fits', () => {
  expect(undisturbed.violations, undisturbed.details).toEqual([])
  const claims = (names: readonly string[]) => names.filter((name) => name === 'claimCall')
  expect(claims(parking)).toHaveLength(5)
  expect(claims(fitting)).toHaveLength(1)
})

describe.each(MOMENTS)('the node that parks the call is killed: %s', (moment) => {
  test.concurrent.each(writes(parking))('operation $operation, $name', async ({ operation }) => {
    const run = () => partingRun({ store, points: [point(operation, moment), never] })
    const { violations, details } = await twoAtATime(run)
    expect(violations, details).toEqual([])
  })
})

describe.each(MOMENTS)('the node whose code fits is killed: %s', (moment) => {
  test.concurrent.each(writes(fitting))('operation $operation, $name', async ({ operation }) => {
    const run = () => partingRun({ store, points: [never, point(operation, moment)] })
    const { violations, details } = await twoAtATime(run)
    expect(violations, details).toEqual([])
  })
})
