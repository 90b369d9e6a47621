import { Redis } from 'ioredis'
import { Stopwatch } from '../measure.js'
import type { Latencies } from '../measure.js'

export type PingJob = { redis: string; ms: number }

/** PING, one after the other: what a round trip costs a process of Node.js here and now. */
export async function pings({ redis: url, ms }: PingJob): Promise<Latencies> {
  const redis = new Redis(url)
  for (let warmUp = 0; warmUp < 200; warmUp++) await redis.ping()
  const watch = new Stopwatch()
  const until = performance.now() + ms
  while (performance.now() < until) await watch.time(() => redis.ping())
  redis.disconnect()
  return watch.latencies
}
