import { describe, expect, test } from 'vitest'
import type { CrashClient } from '../src/crash-run.js'
import type { CrashPoint } from '../src/crash-points.js'
import { expectNothingBroken, fewestOperations, NEVER, numbered } from './crash-support.js'

// As `crash-points-alone.test.ts`, for tasks: the client asks another node than the one that runs them. What a run after a
// takeover does is the same for all calls, and tried there.

const tool = 'task'
const writes = (names: readonly string[]) => numbered(names).filter(({ name }) => !name.startsWith('read'))
const run = (client: CrashClient, ...points: CrashPoint[]) => fewestOperations({ points, tool, client })

// What a node reads meanwhile, and how often, differs from run to run.
const APPENDS = { ...NEVER, only: 'appendCall' } as const
const [owner, cancelled, silent] = await Promise.all([
  run('task answers', NEVER),
  run('task cancels', APPENDS),
  run('task silent', APPENDS),
])

/** Where nothing is behind the owner, or nothing is left for it. */
const edges = [...writes(owner).slice(0, 2), ...writes(owner).slice(-2)]

test('the scenarios have enough operations for the points to mean something', () => {
  expect(owner.slice(0, 2)).toEqual(['hold', 'openCall'])
  expect(owner.length).toBeGreaterThan(15)
  expect(cancelled.at(-1)).toBe('appendCall')
  expect(silent.at(-1)).toBe('appendCall')
  expect(cancelled.length).toBeGreaterThan(1)
  expect(silent.length).toBeGreaterThan(1)
})

describe('the owner of a task is killed', () => {
  test.concurrent.each(edges)('before $operation, $name', async (at) => {
    await expectNothingBroken({ points: [{ ...at, moment: 'before' }], tool, client: 'task answers' })
  })

  // What it has appended, and does not know of. The client of the second answers twice.
  test.concurrent.each(writes(owner))('when $operation is applied, $name', async (at) => {
    await expectNothingBroken({ points: [{ ...at, moment: 'applied' }], tool, client: 'task twice' })
  })

  test.concurrent.each(['before', 'applied', 'after', 'overlap'] as const)(
    '%s it writes that the task is cancelled',
    async (moment) => {
      const at = { ...APPENDS, operation: cancelled.length, moment }
      await expectNothingBroken({ points: [at], tool, client: 'task cancels' })
    },
  )

  test.concurrent.each(['before', 'applied', 'after', 'overlap'] as const)(
    '%s it writes that the time of the task is over',
    async (moment) => {
      const at = { ...APPENDS, operation: silent.length, moment }
      await expectNothingBroken({ points: [at], tool, client: 'task silent' })
    },
  )

  test.concurrent('before the time of the task is over', async () => {
    const at = { ...APPENDS, operation: silent.length - 1, moment: 'after' as const }
    await expectNothingBroken({ points: [at], tool, client: 'task silent' })
  })
})

describe('the node that is asked is killed', () => {
  test.concurrent.each([1, 2, 3])('before it reads, %i', async (operation) => {
    const point = { operation, moment: 'before', from: 'readSession' } as const
    await expectNothingBroken({ points: [NEVER, point], tool, client: 'task answers' })
  })

  test.concurrent.each(['before', 'applied', 'after'] as const)('%s it leaves an answer', async (moment) => {
    const point = { operation: 1, moment, from: 'append' } as const
    await expectNothingBroken({ points: [NEVER, point], tool, client: 'task twice' })
  })

  test.concurrent.each(['before', 'applied', 'after'] as const)(
    '%s it leaves a cancellation',
    async (moment) => {
      const point = { operation: 1, moment, from: 'append' } as const
      await expectNothingBroken({ points: [NEVER, point], tool, client: 'task cancels' })
    },
  )
})
