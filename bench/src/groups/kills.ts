import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { startRedis, waitFor } from '../../../test-support/index.js'
import { within } from '../bench.js'
import type { Bench, Group } from '../bench.js'
import { Cleanup } from '../cleanup.js'
import { Stopwatch } from '../measure.js'
import { Contestant } from '../processes.js'
import type { Measurements } from '../rows.js'
import { Router } from '../router.js'
import { quietRedis } from './redis.js'

const P50_LIMIT_MS = 2000
const P99_LIMIT_MS = 5000

/** Official clients call a tool; the node that runs it is killed; the clients resume at another node. */
export const kills: Group = { title: 'kills', rows: ['kill-p50', 'kill-p99'], weight: 60, run }

async function run(bench: Bench): Promise<Measurements> {
  await using cleanup = new Cleanup()
  const redis = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
  const survivor = cleanup.use(await Contestant.start('durable-redis', redis.url))
  cleanup.use(await Contestant.start('durable-redis', redis.url))
  const watch = new Stopwatch()
  const { count, clients } = bench.effort.kills
  for (let kill = 0; kill < count; kill++) {
    await using victim = await Contestant.start('durable-redis', redis.url)
    // Clients keep connections to an address, so each time it is a new one.
    await using router = await Router.start()
    await killOnce({ victim, survivor, router, clients, watch })
    bench.progress((kill + 1) / count)
  }
  const { p50, p99, max } = watch.latencies
  bench.note(`kills: ${count}, with ${clients} calls each; the longest took ${Math.round(max / 1000)} ms`)
  return { 'kill-p50': within(p50 / 1000, P50_LIMIT_MS), 'kill-p99': within(p99 / 1000, P99_LIMIT_MS) }
}

type Kill = { victim: Contestant; survivor: Contestant; router: Router; clients: number; watch: Stopwatch }

async function killOnce({ victim, survivor, router, clients: count, watch }: Kill) {
  router.target = portOf(victim)
  await victim.tell('hang')
  const clients = await Promise.all(Array.from({ length: count }, () => connected(router.url)))
  let killedAt = 0n
  const results = clients.map(async (client) => {
    const { content } = await client.callTool({ name: 'hang', arguments: {} })
    watch.add(process.hrtime.bigint() - killedAt)
    if (!JSON.stringify(content).includes('done by')) throw new Error(JSON.stringify(content))
  })
  const all = Promise.all(results)
  await Promise.race([all, waitFor(async () => (await victim.tell('hanging')) === count)])
  router.target = portOf(survivor)
  killedAt = process.hrtime.bigint()
  await victim.process.kill('SIGKILL')
  await all
  await Promise.all(clients.map((client) => client.close()))
}

async function connected(url: URL): Promise<Client> {
  const client = new Client({ name: 'bench', version: '1.0.0' })
  await client.connect(new StreamableHTTPClientTransport(url))
  return client
}

const portOf = (contestant: Contestant) => Number(new URL(contestant.url).port)
