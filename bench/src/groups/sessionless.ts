import { startRedis } from '../../../test-support/index.js'
import { compare, takeTurns, within } from '../bench.js'
import type { Bench, Group } from '../bench.js'
import { Cleanup } from '../cleanup.js'
import { median } from '../measure.js'
import { Contestant } from '../processes.js'
import type { Measurement, Measurements } from '../rows.js'
import { Entrant } from './entrant.js'
import { infoOf, quietRedis } from './redis.js'

const STEPS = 3
const ENDED_LIMIT = 2048

/** Rates and latencies of the tool `add` in protocol 2026-07-28, beside the SDK's own way to serve it. */
export const sessionless: Group = {
  title: 'calls without sessions',
  rows: ['calls-sessionless', 'latency-sessionless', 'calls-steps-sessionless'],
  weight: 120,
  run,
}

async function run(bench: Bench): Promise<Measurements> {
  await using cleanup = new Cleanup()
  const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
  const own = await Contestant.start('durable-redis', redis.url)
  const peer = await Contestant.start('sdk-2-handler', redis.url)
  const durable = new Entrant('redis, no sessions', redis, cleanup.use(own), true)
  const handler = new Entrant('createMcpHandler', redis, cleanup.use(peer), true)
  const field = [durable, handler]
  for (const entrant of field) await entrant.warmUp(bench)
  const withSteps = new Map<Entrant, number[]>(field.map((entrant) => [entrant, []]))
  const turns = field.flatMap((entrant) => [
    () => entrant.rush(bench),
    () => entrant.alone(bench),
    async () => void withSteps.get(entrant)!.push(await entrant.callsOfSteps(bench, STEPS)),
  ])
  await takeTurns(bench.effort.rounds, turns, bench.progress)
  for (const entrant of field) entrant.tell(bench)
  const rates = ({ rushes }: Entrant) => rushes.map(({ perSecond }) => perSecond)
  const p50s = durable.singles.map(({ calls }) => calls.p50)
  const allowed = handler.singles.map(({ calls, pings }) => calls.p50 + 2 * pings.p50)
  return {
    'calls-sessionless': compare(rates(durable), rates(handler)),
    'latency-sessionless': compare(p50s, allowed),
    'calls-steps-sessionless': compare(withSteps.get(durable)!, withSteps.get(handler)!),
  }
}

/** Calls that have ended, in large number: what Redis keeps of them, and whether a call feels them. */
export const endedCalls: Group = {
  title: 'ended calls without sessions',
  rows: ['growth-sessionless', 'memory-call-redis'],
  weight: 90,
  async run(bench) {
    const { load, effort, note } = bench
    await using cleanup = new Cleanup()
    const full = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
    const empty = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
    const node = cleanup.use(await Contestant.start('durable-redis', full.url))
    const memory = () => infoOf(full.url, 'memory', 'used_memory')
    const count = effort.ended
    // What Redis and its clients take whatever is kept.
    await load.tell('endCalls', { url: node.url, count: count / 10 })
    const before = await memory()
    const began = performance.now()
    await load.tell('endCalls', { url: node.url, count })
    note(`ended calls: ${Math.round((count * 1000) / (performance.now() - began))} per second`)
    const each = ((await memory()) - before) / count
    bench.progress(0.5)
    return {
      'memory-call-redis': within(each, ENDED_LIMIT),
      'growth-sessionless': await growthBeside(bench, full.url, empty.url),
    }
  },
}

/** Nodes that have just started, so that only their stores differ; beside them, the SDK's own. */
async function growthBeside(bench: Bench, full: string, empty: string): Promise<Measurement> {
  const { effort, load } = bench
  await using cleanup = new Cleanup()
  const durables = [full, empty].map((url) => Contestant.start('durable-redis', url))
  const nodes = await Promise.all([...durables, Contestant.start('sdk-2-handler')])
  for (const node of nodes) cleanup.use(node)
  const urls = nodes.map(({ url }) => url)
  const warmUp = { clients: 1, warmUpMs: effort.warmUpMs, ms: 1, sessionless: true }
  for (const url of urls) await load.tell('closedLoop', { url, ...warmUp })
  const p50s: number[][] = urls.map(() => [])
  const { block, rounds } = effort.growth
  const turn = async () => {
    const round = await load.tell('besideEachOther', { urls, calls: block, sessionless: true })
    for (const [index, p50] of round.entries()) p50s[index]!.push(p50)
  }
  await takeTurns(rounds, [turn], (done) => bench.progress(0.5 + done / 2))
  const [late, early, handler] = p50s
  bench.note(`ended calls: createMcpHandler beside them p50 ${Math.round(median(handler!))} µs`)
  return compare(late!, early!)
}
