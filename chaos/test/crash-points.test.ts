import { describe, expect, test } from 'vitest'
import { moments, pauses } from '../src/crash-points.js'
import type { CrashPoint } from '../src/crash-points.js'
import { expectNothingBroken, fewestOperations, NEVER, numbered } from './crash-support.js'

// A scenario with each kind of step meets a death at every operation that its owner sends to the store, and another
// node finishes it; then the node that takes over meets one at every operation of its own, and a third finishes.

const first = await fewestOperations({ points: [NEVER] })
/** The first node asks, and dies: half of everything is in the journal. */
const halfway: CrashPoint = { operation: Math.ceil(first.length / 2), moment: 'after' }
const second = await fewestOperations({ points: [halfway, NEVER] })

test('the scenario has enough operations for the points to mean something', () => {
  expect(first.length).toBeGreaterThan(15)
  expect(first.slice(0, 2)).toEqual(['hold', 'openCall'])
  expect(second.slice(0, 3)).toEqual(['hold', 'claimCall', 'read'])
})

describe.each(moments)('the owner is killed: %s', (moment) => {
  test.concurrent.each(numbered(first))('operation $operation, $name', async ({ operation }) => {
    await expectNothingBroken({ points: [{ operation, moment }] })
  })
})

describe.each(moments)('the one that takes over is killed: %s', (moment) => {
  test.concurrent.each(numbered(second))('operation $operation, $name', async ({ operation }) => {
    await expectNothingBroken({ points: [halfway, { operation, moment }] })
  })
})

describe.each(pauses)('the owner is paused beyond its lease: %s', (moment) => {
  test.concurrent.each(numbered(first))('operation $operation, $name', async ({ operation }) => {
    await expectNothingBroken({ points: [{ operation, moment }] })
  })
})
