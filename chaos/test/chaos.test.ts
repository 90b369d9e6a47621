import { describe, expect, test } from 'vitest'
import { chaos } from '../src/chaos-run.js'
import type { ChaosOptions } from '../src/chaos-run.js'
import { faultKinds } from '../src/faults.js'
import { Random } from '../src/random.js'

// Short runs of `npm run chaos`: one whose seed stays the same, one with another seed each time. That such runs find what
// is broken is shown by `mutations.test.ts`.

const SECONDS = 60
const seed = Math.floor(Math.random() * 1e9)
const runs: Pick<ChaosOptions, 'seed' | 'store' | 'client' | 'versions'>[] = [
  { seed: 20_250_617, store: 'redis', client: 'ts1', versions: true },
  { seed, store: 'cluster', client: 'ts2' },
]

const repeat = ({ seed: number, store, client, versions }: (typeof runs)[number]) =>
  `npm run chaos -- --seconds ${SECONDS} --seed ${number} --store ${store} --client ${client}${versions ? ' --versions' : ''}`

describe.each(runs)('$store, client $client, seed $seed', (run) => {
  test('every fault, and nothing that is promised is broken', async () => {
    const lines: string[] = []
    const report = await chaos({ ...run, seconds: SECONDS, nodes: 3, faults: faultKinds }, (line) =>
      lines.push(line),
    )

    expect(report.violations, [`to repeat it: ${repeat(run)}`, ...lines].join('\n')).toBe(0)
    expect(report.calls).toBeGreaterThan(50)
    expect(report.takeovers).toBeGreaterThan(0)
    expect(report.heard).toBeGreaterThan(0)
    if (run.versions) expect(report.parked).toBeGreaterThan(0)
  })
})

test('the same seed gives the same numbers, another part others', () => {
  const draw = (random: Random) => Array.from({ length: 5 }, () => random.between(1, 1000))

  expect(draw(new Random(7, 'faults'))).toEqual(draw(new Random(7, 'faults')))
  expect(draw(new Random(7, 'faults'))).not.toEqual(draw(new Random(7, 'answers')))
})
