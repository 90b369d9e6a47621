import { Redis } from 'ioredis'
import { Stopwatch } from '../measure.js'
import type { Latencies } from '../measure.js'
import { connected } from './closed-loop.js'

export type AlternatingJob = {
  url: string
  redis: string
  warmUpMs: number
  ms: number
  sessionless?: boolean
}
export type Alternating = { calls: Latencies; pings: Latencies }

/**
 * One client: a call of `add`, then a PING to Redis, and so on. A round trip to Redis takes the longer the longer Redis
 * and its client had nothing to do, so it is measured where calls are, and not in a loop of its own.
 */
export async function alternating({
  url,
  redis: redisUrl,
  warmUpMs,
  ms,
  sessionless,
}: AlternatingJob): Promise<Alternating> {
  const [client] = await connected(url, 1, sessionless && 'add')
  const redis = new Redis(redisUrl)
  const loop = async (forMs: number) => {
    const calls = new Stopwatch()
    const pings = new Stopwatch()
    const until = performance.now() + forMs
    while (performance.now() < until) {
      await calls.time(() => client!.add())
      await pings.time(() => redis.ping())
    }
    return { calls: calls.latencies, pings: pings.latencies }
  }
  await loop(warmUpMs)
  const measured = await loop(ms)
  redis.disconnect()
  return measured
}
