/** How long and how large everything is. */
export type Effort = {
  /** Contestants take turns, as often as this. */
  rounds: number
  roundMs: number
  /** Of a new process, until its code is compiled: at least so long, and so many calls. */
  warmUpMs: number
  warmUpCalls: number
  /** Each of the 256 calls of a round has as many. */
  steps: number
  replay: { events: number; rounds: number }
  /** Notifications of a round, one every few ms. */
  notifications: number
  /** Idle sessions. `serverIdleMs` is only set where there is no time to wait for the default. */
  idle: { sessions: number; warmUp: number; settings: { serverIdleMs?: number }; evictedAfterMs: number }
  /** Tasks that sleep, and are to be woken within `wakeMs` in turn. */
  naps: { tasks: number; warmUp: number; wakeMs: number; lookMs: number }
  /** Idle streams. */
  streams: { count: number; rounds: number }
  rebuilds: number
  growth: { calls: number; block: number; rounds: number }
  /** Calls in protocol 2026-07-28 that have ended. */
  ended: number
  kills: { count: number; clients: number }
}

/** `full` judges; `quick` shows that everything is measured, and about where it is. */
export const efforts = {
  full: {
    rounds: 9,
    roundMs: 2000,
    warmUpMs: 3000,
    warmUpCalls: 10_000,
    steps: 100,
    replay: { events: 10_000, rounds: 15 },
    notifications: 400,
    // The default of `serverIdleMs` is 60 s, looked at every quarter of it; a scope is let go 60 s after its last use.
    idle: { sessions: 100_000, warmUp: 2000, settings: {}, evictedAfterMs: 95_000 },
    naps: { tasks: 100_000, warmUp: 4000, wakeMs: 400_000, lookMs: 10_000 },
    streams: { count: 5000, rounds: 3 },
    rebuilds: 100,
    growth: { calls: 10_000, block: 200, rounds: 15 },
    ended: 100_000,
    kills: { count: 12, clients: 8 },
  },
  quick: {
    rounds: 2,
    roundMs: 400,
    warmUpMs: 500,
    warmUpCalls: 800,
    steps: 40,
    replay: { events: 10_000, rounds: 4 },
    notifications: 100,
    idle: { sessions: 1000, warmUp: 200, settings: { serverIdleMs: 1000 }, evictedAfterMs: 1600 },
    naps: { tasks: 500, warmUp: 200, wakeMs: 5000, lookMs: 1000 },
    streams: { count: 500, rounds: 1 },
    rebuilds: 30,
    growth: { calls: 1000, block: 100, rounds: 4 },
    ended: 2000,
    kills: { count: 2, clients: 4 },
  },
} as const satisfies Record<string, Effort>
export type EffortName = keyof typeof efforts
