import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { startRedis } from '../../../test-support/index.js'
import { compare, takeTurns, within } from '../bench.js'
import type { Bench, Group } from '../bench.js'
import { Cleanup } from '../cleanup.js'
import { Contestant } from '../processes.js'
import type { Measurements } from '../rows.js'
import { infoOf, quietRedis } from './redis.js'

const NODE_LIMIT = 200
const REDIS_LIMIT = 2048

/** Sessions in large number: what they take when they are idle, and whether a call feels them. */
export const idleSessions: Group = {
  title: 'idle sessions',
  rows: ['memory-session-node', 'memory-session-redis', 'growth-sessions'],
  weight: 400,
  run,
}

async function run(bench: Bench): Promise<Measurements> {
  const { effort, load, note } = bench
  const { sessions, warmUp, settings, evictedAfterMs } = effort.idle
  await using cleanup = new Cleanup()
  const full = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
  const empty = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
  const node = cleanup.use(await Contestant.start('durable-redis', full.url, settings))
  const look = async () => {
    await dropJournals(full.url)
    return { node: await node.tell('memory'), redis: await infoOf(full.url, 'memory', 'used_memory') }
  }
  await load.tell('createSessions', { url: node.url, count: warmUp, use: true })
  await sleep(evictedAfterMs)
  const before = await look()
  bench.progress(0.3)
  const began = performance.now()
  await load.tell('createSessions', { url: node.url, count: sessions, use: true })
  note(
    `idle sessions: ${Math.round((sessions * 1000) / (performance.now() - began))} begun and used per second`,
  )
  bench.progress(0.6)
  await sleep(evictedAfterMs)
  const after = await look()
  bench.progress(0.8)
  note(
    `idle sessions: resident memory of the node ${perSession(after.node.rss, before.node.rss, sessions)} B each`,
  )
  return {
    'memory-session-node': within(perSession(after.node.used, before.node.used, sessions), NODE_LIMIT),
    'memory-session-redis': within(perSession(after.redis, before.redis, sessions), REDIS_LIMIT),
    ...(bench.wants('growth-sessions') && (await growth(bench, full.url, empty.url))),
  }
}

const perSession = (after: number, before: number, sessions: number) => (after - before) / sessions

/** As if the time had passed that the events of a call are kept. */
async function dropJournals(url: string) {
  const redis = new Redis(url)
  for await (const keys of redis.scanStream({ match: 'mcp:*:call:*', count: 1000 })) {
    if ((keys as string[]).length > 0) await redis.unlink(...(keys as string[]))
  }
  redis.disconnect()
}

async function growth(bench: Bench, full: string, empty: string): Promise<Measurements> {
  await using cleanup = new Cleanup()
  const beside = cleanup.use(await Contestant.start('durable-redis', full))
  const alone = cleanup.use(await Contestant.start('durable-redis', empty))
  const { late, early } = await callsBeside(bench, beside, alone)
  return { 'growth-sessions': compare(late, early) }
}

/** p50s of calls of nodes that have just started, so that only their stores differ. */
export async function callsBeside(bench: Bench, full: Contestant, empty: Contestant) {
  const { effort, load } = bench
  const urls = [full.url, empty.url]
  for (const url of urls) {
    await load.tell('closedLoop', { url, clients: 1, warmUpMs: effort.warmUpMs, ms: 1 })
  }
  const late: number[] = []
  const early: number[] = []
  const { block, rounds } = effort.growth
  const turn = async () => {
    const [lateP50, earlyP50] = await load.tell('besideEachOther', { urls, calls: block })
    late.push(lateP50!)
    early.push(earlyP50!)
  }
  await takeTurns(rounds, [turn], (done) => bench.progress(0.8 + done / 5))
  return { late, early }
}

/** A session with many calls behind it beside new ones. */
export const growingSession: Group = {
  title: 'a growing session',
  rows: ['growth-calls'],
  weight: 25,
  async run({ effort, load, profile }) {
    await using cleanup = new Cleanup()
    const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
    const node = cleanup.use(await Contestant.start('durable-redis', redis.url))
    const { late, early } = await node.profiled(profile('growth-calls'), () =>
      load.tell('growth', { url: node.url, ...effort.growth }),
    )
    return { 'growth-calls': compare(late, early) }
  },
}

/** What the first call of a session costs on a node that does not have it: more than the second one does. */
export const rebuild: Group = {
  title: 'rebuild',
  rows: ['rebuild'],
  weight: 20,
  async run({ effort, load, progress, profile }) {
    await using cleanup = new Cleanup()
    const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
    const first = cleanup.use(await Contestant.start('durable-of-20', redis.url))
    const other = cleanup.use(await Contestant.start('durable-of-20', redis.url))
    const job = { from: first.url, to: other.url, count: effort.rebuilds }
    const rebuilt: number[] = []
    const made: number[] = []
    await load.tell('rebuild', job)
    const turn = async () => {
      const took = await load.tell('rebuild', job)
      rebuilt.push(took.rebuilt)
      made.push(took.made)
    }
    await other.profiled(profile('rebuild'), () => takeTurns(effort.rounds, [turn], progress))
    return { rebuild: compare(rebuilt, made) }
  },
}
