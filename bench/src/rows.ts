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
export type Unit = '/s' | 'µs' | 'ms' | 'B' | 'trips'

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
    target: atLeast(1.6),
  },
  {
    name: 'calls-memory',
    what: '`add`, 32 clients, durable in memory',
    against: 'SDK 1.x',
    unit: '/s',
    target: atLeast(2),
  },
  {
    name: 'calls-sealed',
    what: '`add`, 32 clients, durable on Redis with sealed payloads',
    against: 'the same, not sealed',
    unit: '/s',
    target: atLeast(0.85),
  },
  {
    name: 'latency',
    what: '`add`, 1 client, durable on Redis, p50',
    against: 'SDK 1.x p50 + 2 × PING p50',
    unit: 'µs',
    target: atMost(1.4),
  },
  {
    name: 'p99',
    what: '`add`, 32 clients, durable on Redis, p99',
    against: 'SDK 1.x p99',
    unit: 'µs',
    target: atMost(1),
  },
  {
    name: 'calls-sessionless',
    what: '`add` in protocol 2026-07-28, 32 clients, durable on Redis',
    against: '`createMcpHandler` of SDK 2.x, in memory',
    unit: '/s',
    target: atLeast(1),
  },
  {
    name: 'latency-sessionless',
    what: '`add` in protocol 2026-07-28, 1 client, durable on Redis, p50',
    against: '`createMcpHandler` p50 + 2 × PING p50',
    unit: 'µs',
    target: atMost(1.4),
  },
  {
    name: 'calls-sqlite-full',
    what: '`add`, 32 clients, durable in a file that survives a power cut (FULL)',
    against: 'SDK 1.x',
    unit: '/s',
    target: atLeast(1),
  },
  {
    name: 'calls-sqlite-normal',
    what: '`add`, 32 clients, durable in a file (NORMAL)',
    against: 'SDK 1.x',
    unit: '/s',
    target: atLeast(1.5),
  },
  {
    name: 'steps-sqlite',
    what: '`atLeastOnce` steps of one process in a file (FULL), 256 calls at once',
    against: 'plain inserts of the same entries, 256 in a transaction',
    unit: '/s',
    target: atLeast(0.5),
  },
  {
    name: 'replay-sqlite',
    what: 'replay of 10,000 events of a file over HTTP',
    against: 'SELECT of the same entries, without HTTP',
    unit: '/s',
    target: atLeast(0.3),
  },
  {
    name: 'wake-sqlite-p50',
    what: 'notification from another process at a file (NORMAL) to an open GET, p50',
    against: 'what is allowed',
    unit: 'ms',
    target: atMost(1),
  },
  {
    name: 'wake-sqlite-p99',
    what: 'notification from another process at a file (NORMAL) to an open GET, p99',
    against: 'what is allowed',
    unit: 'ms',
    target: atMost(1),
  },
  {
    name: 'growth-sqlite',
    what: 'a call with 100,000 sessions in a file (NORMAL), p50',
    against: 'a call with an empty file, p50',
    unit: 'µs',
    target: atMost(1.1),
  },
  {
    name: 'progress',
    what: 'a call with 20 progress messages, 32 clients, durable on Redis',
    against: 'SDK 1.x with its in-memory event store',
    unit: '/s',
    target: atLeast(1),
  },
  {
    name: 'steps',
    what: '`atLeastOnce` steps of one process, 256 calls at once',
    against: 'pipelined XADD of the same entries from the same process',
    unit: '/s',
    target: atLeast(0.6),
  },
  {
    name: 'steps-sessionless',
    what: '`atLeastOnce` steps of one process in protocol 2026-07-28, 256 calls at once',
    against: 'pipelined XADD of the same entries from the same process',
    unit: '/s',
    target: atLeast(0.6),
  },
  {
    name: 'round-trips-call',
    what: 'round trips to the store that a call waits for',
    against: 'what is allowed',
    unit: 'trips',
    target: atMost(1),
  },
  {
    name: 'round-trips-call-sessionless',
    what: 'round trips to the store that a call waits for in protocol 2026-07-28',
    against: 'what is allowed, as in a session',
    unit: 'trips',
    target: atMost(1),
  },
  {
    name: 'round-trips-at-least-once',
    what: 'round trips that an `atLeastOnce` step waits for',
    against: 'what is allowed',
    unit: 'trips',
    target: atMost(1),
  },
  {
    name: 'round-trips-at-most-once',
    what: 'round trips that an `atMostOnce` step waits for',
    against: 'what is allowed',
    unit: 'trips',
    target: atMost(1),
  },
  {
    name: 'replay',
    what: 'replay of 10,000 events over HTTP',
    against: 'XRANGE of the same entries, without HTTP',
    unit: '/s',
    target: atLeast(0.3),
  },
  {
    name: 'notification',
    what: 'notification from another node to an open GET, p99',
    against: 'PUBLISH to message, p99',
    unit: 'µs',
    target: atMost(3),
  },
  {
    name: 'memory-session-node',
    what: 'memory of a node per idle session, once its server object is dropped',
    against: 'what is allowed',
    unit: 'B',
    target: atMost(1),
  },
  {
    name: 'memory-session-redis',
    what: 'memory of Redis per idle session',
    against: 'what is allowed',
    unit: 'B',
    target: atMost(1),
  },
  {
    name: 'memory-parked-node',
    what: 'memory of a node per task that sleeps',
    against: 'what is allowed',
    unit: 'B',
    target: atMost(1),
  },
  {
    name: 'memory-parked-redis',
    what: 'memory of Redis per task that sleeps',
    against: 'what is allowed',
    unit: 'B',
    target: atMost(1),
  },
  {
    name: 'lateness-parked',
    what: 'a task that is woken after its time, 2 nodes, p99',
    against: 'what is allowed',
    unit: 'ms',
    target: atMost(1),
  },
  {
    name: 'look-parked',
    what: 'CPU time of Redis per second while many tasks sleep',
    against: '1.5 × the same while few do',
    unit: 'µs',
    target: atMost(1),
  },
  {
    name: 'memory-stream',
    what: 'memory of a node per open GET stream that is idle',
    against: 'a bare Hono SSE stream that does nothing',
    unit: 'B',
    target: atMost(1.5),
  },
  {
    name: 'rebuild',
    what: 'rebuild of a session on another node, server of 20 tools, p50',
    against: 'making that server and one PING, p50',
    unit: 'µs',
    target: atMost(3),
  },
  {
    name: 'growth-calls',
    what: 'a call with 10,000 calls behind it in the session, p50',
    against: 'a call of a new session, p50',
    unit: 'µs',
    target: atMost(1.1),
  },
  {
    name: 'growth-sessions',
    what: 'a call with 100,000 sessions in the store, p50',
    against: 'a call with an empty store, p50',
    unit: 'µs',
    target: atMost(1.1),
  },
  {
    name: 'growth-sessionless',
    what: 'a call in protocol 2026-07-28 with 100,000 ended calls in the store, p50',
    against: 'a call with an empty store, p50',
    unit: 'µs',
    target: atMost(1.1),
  },
  {
    name: 'memory-call-redis',
    what: 'memory of Redis per ended call in protocol 2026-07-28, until it expires',
    against: 'what is allowed',
    unit: 'B',
    target: atMost(1),
  },
  {
    name: 'kill-p50',
    what: 'SIGKILL to result at an official client, p50',
    against: 'what is allowed',
    unit: 'ms',
    target: atMost(1),
  },
  {
    name: 'kill-p99',
    what: 'SIGKILL to result at an official client, p99',
    against: 'what is allowed',
    unit: 'ms',
    target: atMost(1),
  },
  {
    name: 'kill-p50-sessionless',
    what: 'SIGKILL to result at an official client in protocol 2026-07-28, p50',
    against: 'what is allowed',
    unit: 'ms',
    target: atMost(1),
  },
  {
    name: 'kill-p99-sessionless',
    what: 'SIGKILL to result at an official client in protocol 2026-07-28, p99',
    against: 'what is allowed',
    unit: 'ms',
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
    name: 'calls-steps-sessionless',
    what: 'a call of 3 steps in protocol 2026-07-28, 32 clients, durable on Redis',
    against: '`createMcpHandler`, in memory, which records none of them',
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
