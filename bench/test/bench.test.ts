import { describe, expect, test } from 'vitest'
import { groups } from '../src/groups/index.js'
import { readOptions } from '../src/options.js'
import type { Options } from '../src/options.js'
import { chart } from '../src/report/chart.js'
import { table } from '../src/report/table.js'
import { rowOf, rowSpecs } from '../src/rows.js'
import type { RowSpec } from '../src/rows.js'
import { run } from '../src/run.js'

test('a call and its steps wait for the store as often as they may', async () => {
  const counted = rowSpecs.map(({ name }) => name).filter((name) => name.startsWith('round-trips'))
  const options: Options = { effort: 'quick', only: new Set(counted), json: undefined, profile: undefined }
  const { rows, failures } = await run(options)

  expect(failures).toEqual([])
  expect(rows.map(({ name, value, ok }) => [name, value, ok])).toEqual([
    ['round-trips-call', 2, true],
    ['round-trips-call-sessionless', 2, true],
    ['round-trips-at-least-once', 1, true],
    ['round-trips-at-most-once', 2, true],
  ])
})

test('every row is measured by one group', () => {
  const measured = groups.flatMap(({ rows }) => rows)

  expect(measured.toSorted()).toEqual(rowSpecs.map(({ name }) => name).toSorted())
})

describe('a row', () => {
  const spec: RowSpec = { ...rowSpecs[0], target: { bound: 'min', ratio: 1.5 } }
  const measured = { ratio: 1.5, value: 3, peer: 2, spread: [1.4, 1.6] as [number, number] }

  test('reaches a target from below or from above', () => {
    expect(rowOf(spec, measured).ok).toBe(true)
    expect(rowOf(spec, { ...measured, ratio: 1.49 }).ok).toBe(false)
    expect(rowOf({ ...spec, target: { bound: 'max', ratio: 1.5 } }, measured).ok).toBe(true)
    expect(rowOf({ ...spec, target: { bound: 'max', ratio: 1.4 } }, measured).ok).toBe(false)
  })

  test('that was not measured is not ok, target or not', () => {
    expect(rowOf({ ...spec, target: undefined }, { ...measured, ratio: NaN }).ok).toBe(false)
    expect(rowOf(spec, { ...measured, ratio: NaN }).ok).toBe(false)
  })

  test('is shown with its peer, ratio and target', () => {
    const shown = table([rowOf({ ...spec, what: 'this', against: 'that' }, measured)])

    expect(shown).toContain('3/s')
    expect(shown).toContain('2/s')
    expect(shown).toContain('1.50×')
    expect(shown).toContain('≥ 1.5×')
    expect(shown).toContain('this, beside that')
  })
})

test('a chart is SVG, whatever the labels are', () => {
  const svg = chart({ title: 'a < b', bars: [{ label: 'x & y', value: 1, shown: '"1"', mark: 2 }] })

  expect(svg).toMatch(/^<svg /)
  expect(svg).toContain('x &amp; y')
  expect(svg).not.toContain('a < b')
})

describe('options', () => {
  test('name rows that there are', () => {
    expect(readOptions(['--only', 'latency', '--only', 'p99'])).toMatchObject({
      effort: 'full',
      only: new Set(['latency', 'p99']),
    })
    expect(() => readOptions(['--only', 'nonsense'])).toThrow(/no such row.*calls-redis/)
  })

  test('are refused when they are unknown', () => {
    expect(() => readOptions(['--fast'])).toThrow(/--fast/)
  })
})
