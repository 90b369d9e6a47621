import { median } from './measure.js'
import type { Effort } from './effort.js'
import type { Load } from './processes.js'
import type { Measurement, Measurements, RowName } from './rows.js'

/** What every group of rows gets. */
export type Bench = {
  effort: Effort
  load: Load
  wants: (row: RowName) => boolean
  /** How far the group is, from 0 to 1. */
  progress: (fraction: number) => void
  /** A line of detail below the table. */
  note: (line: string) => void
  /** µs of CPU time that a call takes of a contestant, by layer. */
  budget: (contestant: string, layers: ReadonlyMap<string, number>) => void
  /** Where a profile of that name is written, if profiles are wanted. */
  profile: (name: string) => string | undefined
}

/** Rows that are measured together. */
export type Group = {
  title: string
  rows: readonly RowName[]
  /** About how long it takes, in seconds of a full run. */
  weight: number
  run: (bench: Bench) => Promise<Measurements>
}

/** The ratio of each round, so that what disturbs the machine for a while disturbs both sides of it. */
export function compare(values: readonly number[], peers: readonly number[]): Measurement {
  const ratios = values.map((value, round) => value / (peers[round] ?? NaN))
  return {
    ratio: median(ratios),
    value: median(values),
    peer: median(peers),
    spread: [Math.min(...ratios), Math.max(...ratios)],
  }
}

/** Beside its limit, where there is no peer. */
export function within(value: number, limit: number): Measurement {
  const ratio = value / limit
  return { ratio, value, peer: limit, spread: [ratio, ratio] }
}

/** Every turn once in each round; every second round backwards, so that nobody always comes first. */
export async function takeTurns(
  rounds: number,
  turns: readonly (() => Promise<void>)[],
  progress: (fraction: number) => void,
) {
  for (let round = 0; round < rounds; round++) {
    for (const [index, turn] of (round % 2 === 0 ? turns : turns.toReversed()).entries()) {
      await turn()
      progress((round + (index + 1) / turns.length) / rounds)
    }
  }
}
