import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { soak } from '../src/soak-run.js'
import { trendOf } from '../src/trend.js'

// `npm run soak` for a moment: that it runs and reports. What it finds out takes an hour.

test('it runs, judges and measures', { timeout: 240_000 }, async () => {
  const lines: string[] = []
  const snapshots = await mkdtemp(join(tmpdir(), 'mcp-durable-soak-test-'))
  const options = { minutes: 0.01, seed: 7, round: 3, limit: 5, snapshots }
  const report = await soak(options, (line) => lines.push(line))
  await rm(snapshots, { recursive: true })
  expect(report.violations, lines.join('\n')).toBe(0)
  expect(report.calls).toBeGreaterThan(0)
  expect(report.samples).toHaveLength(1)
  for (const value of Object.values(report.samples[0]!)) expect(value).toBeGreaterThan(0)
  expect(report.passed).toBe(true)
  expect(report.grown.every(({ bytes }) => bytes > 0)).toBe(true)
})

const HOUR_MS = 3_600_000
const points = (count: number, valueAt: (hour: number, index: number) => number) =>
  Array.from({ length: count }, (_, index) => ({
    atMs: (index / count) * HOUR_MS,
    value: valueAt(index / count, index),
  }))

test('what grows is told from noise', () => {
  const wave = (index: number) => (index % 2 === 0 ? 1 : -1)
  const growing = trendOf(
    points(40, (hour, index) => 100 + 20 * hour + wave(index)),
    5,
  )
  expect(growing?.verdict).toBe('grows')
  expect(growing?.perHour).toBeCloseTo(18.2, 0)
  const flat = trendOf(
    points(40, (_hour, index) => 100 + wave(index)),
    5,
  )
  expect(flat?.verdict).toBe('flat')
  const loud = trendOf(
    points(6, (_hour, index) => 100 + 30 * wave(index)),
    5,
  )
  expect(loud?.verdict).toBe('noise')
  expect(
    trendOf(
      points(3, () => 1),
      5,
    ),
  ).toBeUndefined()
})

test('the interval is that of the t distribution', () => {
  // Slope 0.8, standard error 0.346, and 3.182 for 3 degrees of freedom.
  const trend = trendOf(
    [10, 12, 11, 14, 13].map((value, index) => ({ atMs: index * HOUR_MS, value })),
    5,
  )!
  expect(trend.perHour).toBeCloseTo((0.8 / 12) * 100, 5)
  expect(trend.from).toBeCloseTo((-0.3026 / 12) * 100, 0)
  expect(trend.to).toBeCloseTo((1.9026 / 12) * 100, 0)
})
