import { describe, expect, test } from 'vitest'
import { moments } from '../src/crash-points.js'
import type { CrashPoint, Moment } from '../src/crash-points.js'
import { sleepingRun } from '../src/sleeping-run.js'
import { store, twoAtATime } from './support.js'

// A call sleeps, is parked, and woken by the next node: the one that parks it first is killed at each operation by which it does, and
// the one that wakes it first at each that it sends to the store from then on.

const parker = (operation: number, moment: Moment): CrashPoint => ({ operation, moment, from: 'setDue' })
const waker = (operation: number, moment: Moment): CrashPoint => ({ operation, moment, from: 'claimCall' })
const never = [parker(0, 'never'), waker(0, 'never')] as const

const undisturbed = await sleepingRun({ store, points: never })
const [parking = [], second = []] = undisturbed.operations
// It may read the journal beside: whether the client that has just gone may stay away.
const first = parking.filter((name) => name !== 'read')
/** To die before something is read is to die before what is written next. */
const writes = (names: readonly string[]) =>
  names.map((name, index) => ({ operation: index + 1, name })).filter(({ name }) => !name.startsWith('read'))

test('without a crash, each node parks the call behind an entry of its own, and the next one wakes it', () => {
  expect(undisturbed.violations, undisturbed.details).toEqual([])
  const isOfParking = (name: string) => ['setDue', 'claimCall', 'removeDue'].includes(name)
  expect(first).toEqual(['setDue', 'claimCall'])
  expect(second.filter(isOfParking)).toEqual(['claimCall', 'removeDue', 'setDue', 'claimCall'])
})

describe.each(moments)('the node that parks the call is killed: %s', (moment) => {
  test.concurrent.each(writes(first))('operation $operation, $name', async ({ operation }) => {
    const run = () => sleepingRun({ store, points: [parker(operation, moment), never[1]] })
    const { violations, details } = await twoAtATime(run)
    expect(violations, details).toEqual([])
  })
})

describe.each(moments)('the node that wakes the call is killed: %s', (moment) => {
  test.concurrent.each(writes(second))('operation $operation, $name', async ({ operation }) => {
    const run = () => sleepingRun({ store, points: [never[0], waker(operation, moment)] })
    const { violations, details } = await twoAtATime(run)
    expect(violations, details).toEqual([])
  })
})
