import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis } from '../../../test-support/index.js'
import type { RedisServer } from '../../../test-support/index.js'
import { compare, takeTurns } from '../bench.js'
import type { Bench, Group } from '../bench.js'
import { Cleanup } from '../cleanup.js'
import type { Kind } from '../contestant/mounts.js'
import type { LoopResult } from '../load/closed-loop.js'
import { median } from '../measure.js'
import { Contestant } from '../processes.js'
import { selfTimes } from '../report/cpu-profile.js'
import type { Measurements, RowName } from '../rows.js'
import { quietRedis, redisCpu } from './redis.js'

const CLIENTS = 32
const entrants = {
  sdk: { kind: 'sdk', for: [] },
  redis: { kind: 'durable-redis', for: [] },
  memory: { kind: 'durable-memory', for: ['calls-memory'] },
  always: { kind: 'durable-redis', for: ['calls-redis-always'] },
  'hono-mcp': { kind: 'hono-mcp', for: ['calls-hono-mcp'] },
  'sdk-2': { kind: 'sdk-2', for: ['calls-sdk-2'] },
} as const satisfies Record<string, { kind: Kind; for: readonly RowName[] }>
type EntrantName = keyof typeof entrants
/** Whose time is looked at by layer. */
const budgeted: ReadonlySet<EntrantName> = new Set(['sdk', 'redis', 'memory'])

/** Rates and latencies of the tool `add`. */
export const calls: Group = {
  title: 'calls',
  rows: [
    'calls-redis',
    'calls-memory',
    'latency',
    'p99',
    'calls-redis-always',
    'calls-hono-mcp',
    'calls-sdk-2',
  ],
  weight: 150,
  run,
}

async function run(bench: Bench): Promise<Measurements> {
  await using cleanup = new Cleanup()
  const everysec = cleanup.use(await startRedis({ aof: 'everysec', config: quietRedis }))
  const always = cleanup.use(await startRedis({ aof: 'always', config: quietRedis }))
  const field: Entrant[] = []
  for (const [name, { kind, for: rows }] of Object.entries(entrants)) {
    if (rows.length > 0 && !rows.some(bench.wants)) continue
    const redis = name === 'always' ? always : everysec
    field.push(new Entrant(name as EntrantName, redis, cleanup.use(await Contestant.start(kind, redis.url))))
  }
  const [sdk, redis] = field
  const busy = bench.wants('latency') && calls.rows.filter(bench.wants).length === 1 ? [] : field
  for (const entrant of field) await entrant.warmUp(bench)
  const single = bench.wants('latency') ? [sdk!, redis!] : []
  const pings: number[] = []
  const ping = async () => {
    const { p50 } = await bench.load.tell('pings', { redis: everysec.url, ms: bench.effort.roundMs / 4 })
    pings.push(p50)
  }
  const turns = [
    ...busy.map((entrant) => () => entrant.rush(bench)),
    ...single.map((entrant) => () => entrant.alone(bench)),
    ...(single.length > 0 ? [ping] : []),
  ]
  await takeTurns(bench.effort.rounds, turns, bench.progress)
  for (const entrant of field) entrant.tell(bench)
  for (const entrant of busy) if (budgeted.has(entrant.name)) await entrant.budget(bench)
  return measurements(bench, new Map(field.map((entrant) => [entrant.name, entrant])), pings)
}

/** A contestant, and how it did in each round. */
class Entrant {
  readonly name: EntrantName
  readonly rushes: LoopResult[] = []
  readonly singles: LoopResult[] = []
  readonly cpu: { server: number; redis: number }[] = []
  readonly #redis: RedisServer
  readonly #contestant: Contestant

  constructor(name: EntrantName, redis: RedisServer, contestant: Contestant) {
    this.name = name
    this.#redis = redis
    this.#contestant = contestant
  }

  async warmUp({ load, effort }: Bench) {
    const job = { url: this.#contestant.url, warmUpMs: effort.warmUpMs, ms: 1, progress: 0 }
    await load.tell('closedLoop', { ...job, clients: CLIENTS })
  }

  /** As many calls as it can from 32 clients. */
  async rush({ load, effort, profile }: Bench) {
    const { url } = this.#contestant
    const before = await this.#cpuUsed()
    const began = performance.now()
    const result = await this.#contestant.profiled(profile(`calls-${this.name}`), () =>
      load.tell('closedLoop', { url, clients: CLIENTS, warmUpMs: 200, ms: effort.roundMs, progress: 0 }),
    )
    const after = await this.#cpuUsed()
    const done = (result.perSecond * (performance.now() - began)) / 1000
    this.rushes.push(result)
    this.cpu.push({
      server: (after.server - before.server) / done,
      redis: (after.redis - before.redis) / done,
    })
  }

  /** One client. */
  async alone({ load, effort, profile }: Bench) {
    const job = { url: this.#contestant.url, clients: 1, warmUpMs: 100, ms: effort.roundMs / 2, progress: 0 }
    const result = await this.#contestant.profiled(profile(`latency-${this.name}`), () =>
      load.tell('closedLoop', job),
    )
    this.singles.push(result)
  }

  tell({ note }: Bench) {
    const of = (pick: (result: LoopResult) => number) => Math.round(median(this.rushes.map(pick)))
    if (this.rushes.length === 0) return
    const server = Math.round(median(this.cpu.map((used) => used.server)))
    const redis = Math.round(median(this.cpu.map((used) => used.redis)))
    const loadShare = median(this.rushes.map(({ loadCpu }) => loadCpu))
    note(
      `${this.name}: ${of(({ perSecond }) => perSecond)} calls/s, p50 ${of(({ latencies }) => latencies.p50)} µs, ` +
        `p99 ${of(({ latencies }) => latencies.p99)} µs; CPU per call: server ${server} µs` +
        `${this.#isDurableOnRedis ? `, Redis ${redis} µs` : ''}; load generator ${Math.round(loadShare * 100)} % of a core`,
    )
  }

  /** After the rounds, since a process under a profiler is slower: its shares of the time, of what a call took in the rounds. */
  async budget(bench: Bench) {
    await using dir = await temporaryDir()
    const file = join(dir.path, 'calls.cpuprofile')
    await this.rush({ ...bench, profile: () => file })
    this.rushes.pop()
    this.cpu.pop()
    const { layers } = await selfTimes(file)
    const perCall = median(this.cpu.map(({ server }) => server))
    const budget = new Map([...layers].map(([layer, share]) => [layer, share * perCall]))
    if (this.#isDurableOnRedis) budget.set('Redis server', median(this.cpu.map(({ redis }) => redis)))
    bench.budget(this.name, budget)
  }

  get #isDurableOnRedis() {
    return this.#contestant.kind === 'durable-redis'
  }

  async #cpuUsed() {
    const server = await this.#contestant.tell('cpu')
    return { server, redis: this.#isDurableOnRedis ? await redisCpu(this.#redis.url) : 0 }
  }
}

function measurements(
  bench: Bench,
  field: Map<EntrantName, Entrant>,
  pings: readonly number[],
): Measurements {
  const rushes = (name: EntrantName, pick: (result: LoopResult) => number) =>
    (field.get(name)?.rushes ?? []).map(pick)
  const rates = (name: EntrantName) => rushes(name, ({ perSecond }) => perSecond)
  const p99s = (name: EntrantName) => rushes(name, ({ latencies }) => latencies.p99)
  const alone = (name: EntrantName) => (field.get(name)?.singles ?? []).map(({ latencies }) => latencies.p50)
  const all: Measurements = {
    'calls-redis': compare(rates('redis'), rates('sdk')),
    'calls-memory': compare(rates('memory'), rates('sdk')),
    latency: compare(
      alone('redis'),
      alone('sdk').map((p50, round) => p50 + 2 * (pings[round] ?? NaN)),
    ),
    p99: compare(p99s('redis'), p99s('sdk')),
    'calls-redis-always': compare(rates('always'), rates('sdk')),
    'calls-hono-mcp': compare(rates('redis'), rates('hono-mcp')),
    'calls-sdk-2': compare(rates('redis'), rates('sdk-2')),
  }
  return Object.fromEntries(Object.entries(all).filter(([name]) => bench.wants(name as RowName)))
}

async function temporaryDir() {
  const path = await mkdtemp(join(tmpdir(), 'mcp-durable-bench-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
