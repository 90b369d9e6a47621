import { Redis } from 'ioredis'
import type { Mounted } from './mounts.js'
import { OwnClient } from './own-client.js'

/** Lanes: calls that run at once, each with that many steps. */
export type StepsJob = { lanes: number; steps: number; ms: number; sessionless?: boolean }
export type StepsResult = { perSecond: number; cpuPerStep: number }

const clients: { inSession: OwnClient[]; sessionless: OwnClient[] } = { inSession: [], sessionless: [] }

/** Steps of calls that run at once, in sessions of their own if any; a lane whose call has ended makes the next one. */
export async function stepsPerSecond(
  { app }: Mounted,
  { lanes, steps, ms, sessionless = false }: StepsJob,
): Promise<StepsResult> {
  const fetch = (request: Request) => app.fetch(request)
  const known = clients[sessionless ? 'sessionless' : 'inSession']
  while (known.length < lanes)
    known.push(sessionless ? OwnClient.sessionless(fetch) : await OwnClient.connect(fetch))
  return rateOf(ms, known.slice(0, lanes), async (client) => {
    await client.call('at-least-once', { steps }, String(steps))
    return steps
  })
}

let pipelining: Redis[] | undefined

/**
 * XADDs of the same entries, as many at once, each waited for before the next one to the same stream. With a client as
 * it is and with one that gathers commands into pipelines by itself; the faster one counts.
 */
export async function xaddsPerSecond(redisUrl: string, { lanes, steps, ms }: StepsJob): Promise<number> {
  pipelining ??= [new Redis(redisUrl), new Redis(redisUrl, { enableAutoPipelining: true })]
  const rates: number[] = []
  for (const redis of pipelining)
    rates.push(await xaddRate(redis, lanes, ms / 2, await entriesOfCall(redis, steps)))
  return Math.max(...rates)
}

async function xaddRate(redis: Redis, lanes: number, ms: number, entries: [id: string, fields: string[]][]) {
  const keys: string[] = []
  const { perSecond } = await rateOf(ms, Array.from({ length: lanes }), async () => {
    const key = `bench:{${keys.length}}:${process.hrtime.bigint()}`
    keys.push(key)
    for (const [id, fields] of entries) await redis.xadd(key, id, ...fields)
    return entries.length
  })
  for (const key of keys) await redis.unlink(key)
  return perSecond
}

/** Each lane works until the time is over; the work says how much it has done. */
async function rateOf<T>(
  ms: number,
  lanes: readonly T[],
  work: (lane: T) => Promise<number>,
): Promise<StepsResult> {
  const began = performance.now()
  const cpu = process.cpuUsage()
  let done = 0
  await Promise.all(
    lanes.map(async (lane) => {
      do {
        const more = await work(lane)
        done += more
      } while (performance.now() < began + ms)
    }),
  )
  const { user, system } = process.cpuUsage(cpu)
  return { perSecond: (done * 1000) / (performance.now() - began), cpuPerStep: (user + system) / done }
}

/** The steps in the journal of a call that has been measured. */
async function entriesOfCall(redis: Redis, steps: number) {
  for await (const keys of redis.scanStream({ match: 'mcp:*:call:*', count: 1000 })) {
    for (const key of keys as string[]) {
      const entries = (await redis.xlen(key)) >= steps ? await redis.xrange(key, '-', '+') : []
      const ended = entries.filter(([, fields]) => fields.some((text) => text.includes('"done"')))
      if (ended.length === steps) return ended
    }
  }
  throw new Error(`no journal has ${steps} steps`)
}
