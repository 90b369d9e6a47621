import { randomBytes } from 'node:crypto'
import { startRedis } from '../../../test-support/index.js'
import { compare, takeTurns } from '../bench.js'
import type { Bench, Group } from '../bench.js'
import { Cleanup } from '../cleanup.js'
import type { Kind } from '../contestant/mounts.js'
import type { LoopResult } from '../load/closed-loop.js'
import { Contestant } from '../processes.js'
import type { Measurements, RowName } from '../rows.js'
import { Entrant } from './entrant.js'
import { quietRedis } from './redis.js'

const entrants = {
  sdk: { kind: 'sdk', for: [] },
  redis: { kind: 'durable-redis', for: [] },
  sealed: { kind: 'durable-redis', for: ['calls-sealed'] },
  memory: { kind: 'durable-memory', for: ['calls-memory'] },
  always: { kind: 'durable-redis', for: ['calls-redis-always'] },
  'hono-mcp': { kind: 'hono-mcp', for: ['calls-hono-mcp'] },
  'sdk-2': { kind: 'sdk-2', for: ['calls-sdk-2'] },
} as const satisfies Record<string, { kind: Kind; for: readonly RowName[] }>
const sealing = { seal: { keys: [randomBytes(32).toString('base64')] } }
type EntrantName = keyof typeof entrants
/** Whose time is looked at by layer. */
const budgeted: ReadonlySet<string> = new Set(['sdk', 'redis', 'memory'])

/** Rates and latencies of the tool `add`. */
export const calls: Group = {
  title: 'calls',
  rows: [
    'calls-redis',
    'calls-memory',
    'calls-sealed',
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
    const settings = name === 'sealed' ? sealing : {}
    // A database of its own: the nodes of a store would look after each other's calls.
    const place = `${redis.url}/${field.length}`
    field.push(new Entrant(name, redis, cleanup.use(await Contestant.start(kind, place, settings))))
  }
  const [sdk, redis] = field
  const wantsLatency = bench.wants('latency')
  const busy = calls.rows.filter(bench.wants).every((row) => row === 'latency') ? [] : field
  for (const entrant of field) await entrant.warmUp(bench)
  const single = wantsLatency ? [sdk!, redis!] : []
  // One client alone twice in each round: its times change the most.
  const turns = [
    ...single.map((entrant) => () => entrant.alone(bench)),
    ...busy.map((entrant) => () => entrant.rush(bench)),
    ...single.map((entrant) => () => entrant.alone(bench)),
  ]
  await takeTurns(bench.effort.rounds, turns, bench.progress)
  for (const entrant of field) entrant.tell(bench)
  for (const entrant of busy) if (budgeted.has(entrant.name)) await entrant.budget(bench)
  return measurements(bench, new Map(field.map((entrant) => [entrant.name, entrant])))
}

function measurements(bench: Bench, field: ReadonlyMap<string, Entrant>): Measurements {
  const rushes = (name: EntrantName, pick: (result: LoopResult) => number) =>
    (field.get(name)?.rushes ?? []).map(pick)
  const rates = (name: EntrantName) => rushes(name, ({ perSecond }) => perSecond)
  const p99s = (name: EntrantName) => rushes(name, ({ latencies }) => latencies.p99)
  const alone = (name: EntrantName) => field.get(name)?.singles ?? []
  const p50s = (name: EntrantName) => alone(name).map(({ calls: { p50 } }) => p50)
  const allowed = alone('sdk').map(({ calls: { p50 }, pings }) => p50 + 2 * pings.p50)
  const all: Measurements = {
    'calls-redis': compare(rates('redis'), rates('sdk')),
    'calls-memory': compare(rates('memory'), rates('sdk')),
    'calls-sealed': compare(rates('sealed'), rates('redis')),
    latency: compare(p50s('redis'), allowed),
    p99: compare(p99s('redis'), p99s('sdk')),
    'calls-redis-always': compare(rates('always'), rates('sdk')),
    'calls-hono-mcp': compare(rates('redis'), rates('hono-mcp')),
    'calls-sdk-2': compare(rates('redis'), rates('sdk-2')),
  }
  return Object.fromEntries(Object.entries(all).filter(([name]) => bench.wants(name as RowName)))
}
