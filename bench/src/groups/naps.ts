import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { startRedis, waitFor } from '../../../test-support/index.js'
import { within } from '../bench.js'
import type { Bench, Group } from '../bench.js'
import { Cleanup } from '../cleanup.js'
import { Contestant } from '../processes.js'
import type { Measurements } from '../rows.js'
import { infoOf, quietRedis, redisCpu } from './redis.js'

const NODE_LIMIT = 200
const REDIS_LIMIT = 3072
const LATE_LIMIT = 1000
/** Of the CPU time that two nodes take of Redis when nothing sleeps. */
const LOOK_LIMIT = 1.5
const POLL_MS = 200
const GO_ON_MS = 60_000
/** None is to be woken before all sleep: a machine may become so much slower, and the last ones take so long to be parked. */
const SLOWER = 2
const LEAST_MS = 10_000
/** Soon, so that the bench need not wait for long until all is parked. */
const SETTINGS = { serverIdleMs: 1000, onDisconnect: 'finish' }

/** Tasks in large number that sleep: what they take meanwhile, and how late they are woken. */
export const parkedTasks: Group = {
  title: 'parked tasks',
  rows: ['memory-parked-node', 'memory-parked-redis', 'lateness-parked', 'look-parked'],
  weight: 400,
  run,
}

async function run(bench: Bench): Promise<Measurements> {
  const { tasks, warmUp, wakeMs, lookMs } = bench.effort.naps
  await using cleanup = new Cleanup()
  const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
  const nodes = [0, 1].map(async () =>
    cleanup.use(await Contestant.start('durable-redis', redis.url, SETTINGS)),
  )
  const [first, second] = (await Promise.all(nodes)) as [Contestant, Contestant]
  const client = new Redis(redis.url)
  cleanup.use({ [Symbol.asyncDispose]: async () => client.disconnect() })
  const begin = (count: number, from: number, to: number) =>
    bench.load.tell('beginNaps', { url: first.url, count, from, to })
  const look = async () => ({
    node: await first.tell('memory'),
    redis: await infoOf(redis.url, 'memory', 'used_memory'),
  })
  // Until they are forgotten, they are there: so they are to be woken last of all.
  const never = Date.now() + 24 * 60 * 60_000
  const parkMs = await timed(async () => {
    await begin(warmUp, never, never + 1)
    await untilParked(client, warmUp)
  })
  const before = await look()
  const looking = await lookingFor(redis.url, lookMs)
  bench.progress(0.1)
  const from = Date.now() + LEAST_MS + lookMs + (SLOWER * parkMs * tasks) / warmUp
  const beginMs = await timed(() => begin(tasks, from, from + wakeMs))
  bench.note(`parked tasks: ${Math.round((tasks * 1000) / beginMs)} begun per second`)
  await untilParked(client, warmUp + tasks)
  bench.progress(0.4)
  const after = await look()
  const lookingBeside = await lookingFor(redis.url, lookMs)
  if (Date.now() > from) throw new Error('the first tasks were due before the last were parked')
  bench.note(
    `parked tasks: resident memory of the node ${each(after.node.rss, before.node.rss, tasks)} B each`,
  )
  const left = async () => (await client.zcard('mcp:due')) - warmUp
  while ((await left()) > 0) await sleep(POLL_MS)
  const woken = async () => [...(await first.tell('woken')), ...(await second.tell('woken'))]
  // The last ones are claimed, and are about to go on.
  await waitFor(async () => (await woken()).length >= tasks, {
    what: 'all tasks to go on',
    timeoutMs: GO_ON_MS,
  })
  const late = (await woken()).toSorted((a, b) => a - b)
  if (late.length !== tasks) throw new Error(`${late.length} of ${tasks} tasks were woken`)
  return {
    'memory-parked-node': within(each(after.node.used, before.node.used, tasks), NODE_LIMIT),
    'memory-parked-redis': within(each(after.redis, before.redis, tasks), REDIS_LIMIT),
    'lateness-parked': within(late[Math.floor(tasks * 0.99)] ?? NaN, LATE_LIMIT),
    'look-parked': within(lookingBeside, LOOK_LIMIT * looking),
  }
}

async function timed(work: () => Promise<unknown>) {
  const began = performance.now()
  await work()
  return performance.now() - began
}

const each = (after: number, before: number, count: number) => (after - before) / count

/** An entry is made before a call is parked, and its scope is let go of after. */
async function untilParked(client: Redis, count: number) {
  const isHeld = async () => {
    const nodes = await client.zrange('mcp:{nodes}', '0', '-1')
    const held = await Promise.all(nodes.map((node) => client.scard(`mcp:{nodes}:${node}`)))
    return held.some((scopes) => scopes > 0)
  }
  while ((await client.zcard('mcp:due')) < count || (await isHeld())) await sleep(POLL_MS)
}

/** CPU time of Redis, in µs per second, while its nodes have nothing to do but to look. */
async function lookingFor(url: string, ms: number) {
  const before = await redisCpu(url)
  const began = performance.now()
  await sleep(ms)
  return ((await redisCpu(url)) - before) / ((performance.now() - began) / 1000)
}
