import { join } from 'node:path'
import { inspect } from 'node:util'
import type { Bench, Group } from './bench.js'
import { efforts } from './effort.js'
import { groups } from './groups/index.js'
import type { Options } from './options.js'
import { Load } from './processes.js'
import { ProgressBar } from './report/progress-bar.js'
import { rowOf, rowSpecs } from './rows.js'
import type { Measurement, Measurements, Row, RowName } from './rows.js'

/** `profiles`: the files that were written. */
export type Results = {
  rows: Row[]
  notes: string[]
  budgets: Budgets
  profiles: string[]
  /** Groups that could not be measured; their rows are not ok. */
  failures: string[]
}
/** µs of CPU time that a call takes, by contestant and layer. */
export type Budgets = ReadonlyMap<string, ReadonlyMap<string, number>>

const UNMEASURED: Measurement = { ratio: NaN, value: NaN, peer: NaN, spread: [NaN, NaN] }

/** Measures all rows that are wanted. */
export async function run({ effort, only, profile }: Options): Promise<Results> {
  const wants = (row: RowName) => only?.has(row) ?? true
  const wanted = groups.filter(({ rows }) => rows.some(wants))
  const bar = new ProgressBar(new Map(wanted.map(({ title, weight }) => [title, weight])))
  const measured: Measurements = {}
  const notes: string[] = []
  const profiles = new Set<string>()
  const budgets = new Map<string, ReadonlyMap<string, number>>()
  const failures: string[] = []
  for (const group of wanted) {
    bar.begin(group.title)
    await using load = await Load.start()
    const bench: Bench = {
      effort: efforts[effort],
      load,
      wants,
      progress: (fraction) => bar.update(fraction),
      budget: (contestant, layers) => void budgets.set(contestant, layers),
      note: (line) => void notes.push(line),
      profile: (name) => {
        if (profile === undefined) return undefined
        const file = join(profile, `${name}.cpuprofile`)
        profiles.add(file)
        return file
      },
    }
    try {
      Object.assign(measured, await measure(group, bench))
    } catch (error) {
      // The others are measured all the same.
      failures.push(`${group.title} failed: ${inspect(error)}`)
    }
  }
  bar.end()
  const specs = rowSpecs.filter(({ name }) => wants(name))
  return {
    rows: specs.map((spec) => rowOf(spec, measured[spec.name] ?? UNMEASURED)),
    notes,
    failures,
    budgets,
    profiles: [...profiles],
  }
}

async function measure(group: Group, bench: Bench): Promise<Measurements> {
  const measurements = await group.run(bench)
  const missing = group.rows.filter((row) => bench.wants(row) && !measurements[row])
  if (missing.length > 0) throw new Error(`${group.title} did not measure ${missing.join(', ')}`)
  return measurements
}
