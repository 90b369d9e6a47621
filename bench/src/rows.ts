/** What is promised of a ratio: at least, or at most. A row without a target only informs. */
export type Target = { bound: 'min' | 'max'; ratio: number } | undefined

export type RowSpec = {
  name: string
  /** What was measured, of whom. */
  what: string
  /** Beside what; the ratio is `what` by `against`. */
  against: string
  unit: Unit
  target: Target
}
export type Unit = '/s' | 'µs' | 'ms' | 'B' | 'round trips'

/** One figure of a run beside its peer. Where there is no peer, it stands beside its limit. */
export type Measurement = {
  ratio: number
  value: number
  peer: number
  /** Lowest and highest ratio of a round. */
  spread: [number, number]
}
export type Row = RowSpec & Measurement & { ok: boolean }

const atLeast = (ratio: number): Target => ({ bound: 'min', ratio })
const atMost = (ratio: number): Target => ({ bound: 'max', ratio })

export const rowSpecs = [
  {
    name: 'calls-redis',
    what: '`add`, 32 clients, durable on Redis',
    against: 'SDK 1.x, its own transport in memory',
    unit: '/s',
    target: atLeast(1.5),
  },
  {
    name: 'calls-memory',
    what: '`add`, 32 clients, durable in memory',
    against: 'SDK 1.x',
    unit: '/s',
    target: atLeast(2),
  },
  {
    name: 'latency',
    what: '`add`, 1 client, durable on Redis, p50',
    against: 'SDK 1.x p50 + 2 × PING p50',
    unit: 'µs',
    target: atMost(1),
  },
  {
    name: 'p99',
    what: '`add`, 32 clients, durable on Redis, p99',
    against: 'SDK 1.x p99',
    unit: 'µs',
    target: atMost(1),
  },
  {
    name: 'calls-redis-always',
    what: '`add`, 32 clients, durable on Redis with appendfsync always',
    against: 'SDK 1.x',
    unit: '/s',
    target: undefined,
  },
  {
    name: 'calls-hono-mcp',
    what: '`add`, 32 clients, durable on Redis',
    against: '@hono/mcp in memory',
    unit: '/s',
    target: undefined,
  },
  {
    name: 'calls-sdk-2',
    what: '`add`, 32 clients, durable on Redis',
    against: 'SDK 2.x, its own transport in memory',
    unit: '/s',
    target: undefined,
  },
] as const satisfies RowSpec[]

export type RowName = (typeof rowSpecs)[number]['name']
export type Measurements = Partial<Record<RowName, Measurement>>

export function rowOf(spec: RowSpec, measured: Measurement): Row {
  return { ...spec, ...measured, ok: reaches(spec.target, measured.ratio) }
}

function reaches(target: Target, ratio: number) {
  if (!Number.isFinite(ratio)) return false
  if (!target) return true
  return target.bound === 'min' ? ratio >= target.ratio : ratio <= target.ratio
}
