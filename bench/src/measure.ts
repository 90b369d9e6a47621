import { createHistogram } from 'node:perf_hooks'
import type { RecordableHistogram } from 'node:perf_hooks'

/** Times in microseconds. */
export type Latencies = { count: number; p50: number; p90: number; p99: number; max: number }

/** Collects times of `process.hrtime`, which all processes of a machine share. */
export class Stopwatch {
  readonly #histogram: RecordableHistogram = createHistogram({ figures: 4 })

  /** Nanoseconds. */
  add(ns: bigint) {
    this.#histogram.record(ns > 0n ? ns : 1n)
  }

  async time<T>(work: () => Promise<T>): Promise<T> {
    const began = process.hrtime.bigint()
    const value = await work()
    this.add(process.hrtime.bigint() - began)
    return value
  }

  get latencies(): Latencies {
    const at = (percent: number) => this.#histogram.percentile(percent) / 1000
    return { count: this.#histogram.count, p50: at(50), p90: at(90), p99: at(99), max: at(100) }
  }
}

/** Share of one core that this process has used since. */
export function cpuMeter(): () => number {
  const began = performance.now()
  const used = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(used)
    return (user + system) / 1000 / (performance.now() - began)
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
}
