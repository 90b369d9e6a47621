import { describe, expect, test } from 'vitest'
import { chaos } from '../src/chaos-run.js'
import { moments } from '../src/crash-points.js'
import { crashRun } from '../src/crash-run.js'
import { faultKinds } from '../src/faults.js'
import { NEVER } from './crash-support.js'
import { twoAtATime } from './support.js'

// Several processes at one file: a short run of chaos, and some of the crash points. All of them, at any time:
// CHAOS_STORE=sqlite npx vitest run chaos

const store = 'sqlite'
const seed = Math.floor(Math.random() * 1e9)
const SECONDS = 20
/** Every so many operations. */
const STEP = 5

test(`chaos, seed ${seed}`, async () => {
  const lines: string[] = []
  const client = 'ts1' as const
  const options = {
    seed,
    seconds: SECONDS,
    nodes: 3,
    store,
    client,
    faults: faultKinds,
    versions: true,
  } as const
  const report = await chaos(options, (line) => lines.push(line))
  const repeat = `to repeat it: npm run chaos -- --seconds ${SECONDS} --seed ${seed} --store sqlite --versions`
  expect(report.violations, [repeat, ...lines].join('\n')).toBe(0)
  expect(report.calls).toBeGreaterThan(10)
})

describe.each(moments)('the owner is killed: %s', (moment) => {
  test('an operation now and then', async () => {
    const { operations } = await crashRun({ store, points: [NEVER] })
    const last = operations[0]?.length ?? 0
    expect(last).toBeGreaterThan(15)
    for (let operation = 1 + moments.indexOf(moment); operation <= last; operation += STEP) {
      const run = () => crashRun({ store, points: [{ operation, moment }] })
      const { violations, details } = await twoAtATime(run)
      expect(violations, details).toEqual([])
    }
  })
})
