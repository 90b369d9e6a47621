import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { startRedis, waitFor } from '../../../test-support/index.js'
import { within } from '../bench.js'
import type { Bench, Group } from '../bench.js'
import { Cleanup } from '../cleanup.js'
import { Stopwatch } from '../measure.js'
import { Contestant } from '../processes.js'
import { Router } from '../router.js'
import { quietRedis } from './redis.js'

const P50_LIMIT_MS = 2000
const P99_LIMIT_MS = 5000

/** Official clients call a tool; the node that runs it is killed; the clients resume at another node. */
export const kills: Group = {
  title: 'kills',
  rows: ['kill-p50', 'kill-p99'],
  weight: 60,
  run: async (bench) => {
    const { p50, p99 } = await run(bench, inSession)
    return { 'kill-p50': p50, 'kill-p99': p99 }
  },
}

/** The same in protocol 2026-07-28. */
export const killsSessionless: Group = {
  title: 'kills without sessions',
  rows: ['kill-p50-sessionless', 'kill-p99-sessionless'],
  weight: 60,
  run: async (bench) => {
    const { p50, p99 } = await run(bench, sessionless)
    return { 'kill-p50-sessionless': p50, 'kill-p99-sessionless': p99 }
  },
}

async function run(bench: Bench, connect: Connect) {
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
    await killOnce({ victim, survivor, router, clients, connect, watch })
    bench.progress((kill + 1) / count)
  }
  const { p50, p99, max } = watch.latencies
  bench.note(`kills: ${count}, with ${clients} calls each; the longest took ${Math.round(max / 1000)} ms`)
  return { p50: within(p50 / 1000, P50_LIMIT_MS), p99: within(p99 / 1000, P99_LIMIT_MS) }
}

type Connect = (
  url: URL,
  fetch: typeof globalThis.fetch,
) => Promise<{
  callTool: (call: { name: string; arguments: Record<string, unknown> }) => Promise<object>
  close: () => Promise<void>
}>
type Kill = {
  victim: Contestant
  survivor: Contestant
  router: Router
  clients: number
  connect: Connect
  watch: Stopwatch
}

async function killOnce({ victim, survivor, router, clients: count, connect, watch }: Kill) {
  router.target = portOf(victim)
  await victim.tell('hang')
  // An official client resumes a stream that has begun, and gives up a request whose answer never began.
  let begun = 0
  const fetch: typeof globalThis.fetch = async (...request) => {
    const response = await globalThis.fetch(...request)
    const body = request[1]?.body
    if (typeof body === 'string' && body.includes('"hang"')) begun++
    return response
  }
  const clients = await Promise.all(Array.from({ length: count }, () => connect(router.url, fetch)))
  let killedAt = 0n
  const results = clients.map(async (client) => {
    const result = await client.callTool({ name: 'hang', arguments: {} })
    watch.add(process.hrtime.bigint() - killedAt)
    if (!JSON.stringify(result).includes('done by')) throw new Error(JSON.stringify(result))
  })
  const all = Promise.all(results)
  await Promise.race([all, waitFor(async () => begun === count && (await victim.tell('hanging')) === count)])
  router.target = portOf(survivor)
  killedAt = process.hrtime.bigint()
  await victim.process.kill('SIGKILL')
  await all
  await Promise.all(clients.map((client) => client.close()))
}

const info = { name: 'bench', version: '1.0.0' }

const inSession: Connect = async (url, fetch) => {
  const client = new Client(info)
  await client.connect(new StreamableHTTPClientTransport(url, { fetch }))
  return client
}

const sessionless: Connect = async (url, fetch) => {
  const client = new Client2(info, { versionNegotiation: { mode: { pin: '2026-07-28' } } })
  await client.connect(new Transport2(url, { fetch }))
  return client
}

const portOf = (contestant: Contestant) => Number(new URL(contestant.url).port)
