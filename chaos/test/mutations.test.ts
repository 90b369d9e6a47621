import { describe, expect, test } from 'vitest'
import { crashRun } from '../src/crash-run.js'
import type { Moment } from '../src/crash-points.js'
import type { Mutation } from '../src/mutations.js'
import { NEVER } from './crash-support.js'
import { store, twoAtATime } from './support.js'

// The test of the test: without one of the things that the guarantees rest on, the crash points find it.

const cases: { mutation: Mutation; moment: Moment; finds: RegExp }[] = [
  {
    mutation: 'fence',
    moment: 'overlap',
    finds: /ends|behind the end|ended more than once|not grow|not \S+$|other values than were recorded/,
  },
  { mutation: 'start-mark', moment: 'before', finds: /pay took effect 2 times/ },
  { mutation: 'suppression', moment: 'after', finds: /in the journal more than once|progress does not grow/ },
]

describe.each(cases)('without the $mutation', ({ mutation, moment, finds }) => {
  test(`a crash point of the moment '${moment}' finds it`, async () => {
    const { operations } = await crashRun({ store, points: [NEVER], mutation })
    const found: string[] = []
    for (let operation = 3; operation <= (operations[0]?.length ?? 0) && found.length === 0; operation++) {
      const { violations } = await twoAtATime(() =>
        crashRun({ store, points: [{ operation, moment }], mutation }),
      )
      found.push(...violations)
    }
    expect(found.join('\n')).toMatch(finds)
  })
})
