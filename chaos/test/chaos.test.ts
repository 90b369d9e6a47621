import { describe, expect, test } from 'vitest'
import { chaos } from '../src/chaos-run.js'
import type { ChaosOptions } from '../src/chaos-run.js'
import { faultKinds } from '../src/faults.js'
import { Random } from '../src/random.js'

// Short runs of `npm run chaos`, with CHAOS=full only: one whose seed stays the same, one with another seed each time, and
// one that shows that chaos finds a missing fence, which takes luck.

const isFull = process.env['CHAOS'] === 'full'

const seed = Math.floor(Math.random() * 1e9)
const runs: Pick<ChaosOptions, 'seed' | 'store' | 'client' | 'seconds'>[] = [
  { seed: 20_250_617, store: 'redis', client: 'ts1', seconds: 30 },
  { seed, store: 'cluster', client: 'ts2', seconds: 30 },
]

const repeat = ({ seconds, seed: number, store, client }: (typeof runs)[number]) =>
  `npm run chaos -- --seconds ${seconds} --seed ${number} --store ${store} --client ${client}`

describe.runIf(isFull).each(runs)('$store, client $client, seed $seed', (run) => {
  test('every fault, and nothing that is promised is broken', { timeout: 150_000 }, async () => {
    const lines: string[] = []
    const report = await chaos({ ...run, nodes: 3, faults: faultKinds }, (line) => lines.push(line))

    expect(report.violations, [repeat(run), ...lines].join('\n')).toBe(0)
    expect(report.calls).toBeGreaterThan(50)
    expect(report.takeovers).toBeGreaterThan(0)
  })
})

describe.runIf(isFull)('without the fence', () => {
  test('nodes that are paused break something, and the run says so', { timeout: 150_000 }, async () => {
    const lines: string[] = []
    const faults = ['pause', 'kill'] as const
    const options = { seed: 1, seconds: 25, nodes: 3, store: 'redis', client: 'ts1', faults } as const
    const report = await chaos({ ...options, mutation: 'fence' }, (line) => lines.push(line))

    expect(report.violations).toBeGreaterThan(0)
    expect(lines.join('\n')).toContain('VIOLATION')
  })
})

test('the same seed gives the same numbers, another part others', () => {
  const draw = (random: Random) => Array.from({ length: 5 }, () => random.between(1, 1000))

  expect(draw(new Random(7, 'faults'))).toEqual(draw(new Random(7, 'faults')))
  expect(draw(new Random(7, 'faults'))).not.toEqual(draw(new Random(7, 'answers')))
})
