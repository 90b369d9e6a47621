import { Redis } from 'ioredis'
import type { Mounted } from './mounts.js'
import { OwnClient } from './own-client.js'

export type StepsJob = { calls: number; steps: number }

const clients: OwnClient[] = []

/** Steps per second of calls that run at once, in sessions of their own. */
export async function stepsPerSecond({ app }: Mounted, { calls, steps }: StepsJob): Promise<number> {
  while (clients.length < calls) clients.push(await OwnClient.connect((request) => app.fetch(request)))
  const began = performance.now()
  await Promise.all(
    clients.slice(0, calls).map((client) => client.call('at-least-once', { steps }, String(steps))),
  )
  return (calls * steps * 1000) / (performance.now() - began)
}

let pipelining: Redis[] | undefined

/**
 * XADDs per second of the same entries, as many at once, each waited for before the next one to the same stream. With a
 * client as it is and with one that gathers commands into pipelines by itself; the faster one counts.
 */
export async function xaddsPerSecond(redisUrl: string, { calls, steps }: StepsJob): Promise<number> {
  pipelining ??= [new Redis(redisUrl), new Redis(redisUrl, { enableAutoPipelining: true })]
  const rates: number[] = []
  for (const redis of pipelining) rates.push(await xaddRate(redis, calls, await entriesOfCall(redis, steps)))
  return Math.max(...rates)
}

async function xaddRate(redis: Redis, calls: number, entries: [id: string, fields: string[]][]) {
  const keys = Array.from({ length: calls }, (_, call) => `bench:{${call}}:${process.hrtime.bigint()}`)
  const began = performance.now()
  await Promise.all(
    keys.map(async (key) => {
      for (const [id, fields] of entries) await redis.xadd(key, id, ...fields)
    }),
  )
  const perSecond = (calls * entries.length * 1000) / (performance.now() - began)
  for (const key of keys) await redis.unlink(key)
  return perSecond
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
