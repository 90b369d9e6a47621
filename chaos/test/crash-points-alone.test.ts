import { describe, expect, test } from 'vitest'
import type { CrashPoint } from '../src/crash-points.js'
import { expectNothingBroken, fewestOperations, NEVER, numbered } from './crash-support.js'

// As `crash-points.test.ts`, without a session (2026-07-28). Where a node dies when an operation is behind it, and where it dies
// before the next one, is the same place; and what only reads has one place.

const client = 'alone'
/** At the node that gets the request with the answer, or the same request once more, while the owner goes on. */
const retry: CrashPoint = { ...NEVER, from: 'readSession' }
const [plain, first, retried, again] = await Promise.all([
  fewestOperations({ points: [NEVER], tool: 'plain', client }),
  fewestOperations({ points: [NEVER], client }),
  fewestOperations({ points: [NEVER, retry], client: 'moving' }),
  fewestOperations({ points: [NEVER, NEVER], client: 'again' }),
])
const halfway: CrashPoint = { operation: Math.ceil(first.length / 2), moment: 'after' }
const second = await fewestOperations({ points: [halfway, NEVER], client })

/** Before each operation, and when the store has applied it and nobody here knows. */
const placesOf = (names: readonly string[]) =>
  numbered(names).flatMap((at) => [
    { ...at, moment: 'before' as const },
    ...(at.name.startsWith('read') ? [] : [{ ...at, moment: 'applied' as const }]),
  ])

const JOINING = 3

test('the scenarios have enough operations for the points to mean something', () => {
  expect(plain.slice(0, 2)).toEqual(['hold', 'openCall'])
  expect(plain.length).toBeGreaterThan(2)
  expect(first.slice(0, 2)).toEqual(['hold', 'openCall'])
  expect(first.length).toBeGreaterThan(15)
  expect(second.slice(0, 3)).toEqual(['hold', 'claimCall', 'read'])
  // That its client is back is noted before its answer is taken.
  const noted = ['readSession', 'read', 'read', 'readValue', 'writeValue']
  expect(retried.slice(0, 7)).toEqual([...noted, 'setDue', 'append'])
  expect(again.slice(0, JOINING)).toEqual(['hold', 'openCall', 'read'])
})

describe('the owner is killed', () => {
  test.concurrent.each(placesOf(plain))('of a plain call: $moment $operation, $name', async (at) => {
    await expectNothingBroken({ points: [at], tool: 'plain', client })
  })

  test.concurrent.each(placesOf(first))('$moment $operation, $name', async (at) => {
    await expectNothingBroken({ points: [at], client })
  })

  test.concurrent('while its client has a question, and another node gets the answer', async () => {
    await expectNothingBroken({ points: [{ operation: 0, moment: 'asked' }], client })
  })

  test.concurrent('so, and the other node runs the call before the answer comes', async () => {
    await expectNothingBroken({ points: [{ operation: 0, moment: 'asked' }], client: 'late' })
  })

  test.concurrent('so, and then another answer, which does not count', async () => {
    await expectNothingBroken({ points: [{ operation: 0, moment: 'asked' }], client: 'twice' })
  })
})

describe('the one that takes over is killed', () => {
  test.concurrent.each(placesOf(second))('$moment $operation, $name', async (at) => {
    await expectNothingBroken({ points: [halfway, at], client })
  })
})

describe('another node is killed that gets', () => {
  test.concurrent.each(placesOf(retried))('the answer: $moment $operation, $name', async (at) => {
    await expectNothingBroken({ points: [NEVER, { ...retry, ...at }], client: 'moving' })
  })

  const joining = again.slice(0, JOINING)
  test.concurrent.each(placesOf(joining))('the same request: $moment $operation, $name', async (at) => {
    await expectNothingBroken({ points: [NEVER, at], client: 'again' })
  })
})
