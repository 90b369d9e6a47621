import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { PREFIX, startBackend } from './backend.js'
import type { Backend } from './backend.js'
import { Changes } from './changes.js'
import { leftOpen } from './left-open.js'
import { CANCEL_AFTER_MS } from './check-departure.js'
import { heapGrowth } from './heap-growth.js'
import type { Grown } from './heap-growth.js'
import type { Listener } from './listener.js'
import { NodePool } from './node-pool.js'
import type { PoolNode } from './node-pool.js'
import { ObservedCalls } from './observed-call.js'
import { Random } from './random.js'
import { Referee } from './referee.js'
import { TcpRouter } from './tcp-router.js'
import { trendOf } from './trend.js'
import type { Point, Trend } from './trend.js'
import { work } from './workload.js'

export type SoakOptions = {
  minutes: number
  seed: number
  /** Seconds of calls between two looks at the memory. */
  round: number
  /** Growth that is still called flat, in percent per hour. */
  limit: number
  /** A folder for two snapshots of the heap of the node that is measured: of the end of the warm-up, and of the end. */
  snapshots?: string | undefined
  /** Ends it before its time, after the round that is played. */
  stop?: AbortSignal
}

const MEASURES = ['heap of a node', 'rss of a node', 'used_memory of Redis', 'keys of Redis'] as const
export type Measure = (typeof MEASURES)[number]
export type Sample = { atMs: number } & Record<Measure, number>

export type SoakReport = {
  seed: number
  seconds: number
  rounds: number
  calls: number
  violations: number
  takeovers: number
  kills: number
  restarts: number
  /** Samples before that are no part of the trends. */
  warmUpMs: number
  samples: Sample[]
  trends: Partial<Record<Measure, Trend>>
  /** What there is more of in the second snapshot, if two were asked for. */
  grown: Grown[]
  /** Nothing that is promised was broken, and no memory grows. */
  passed: boolean
}

const NODES = 3
const LEASE_MS = 2500
/** What a round leaves behind is looked at by the referee, and gone so long after it. */
const LOOKED_AT_MS = 60_000
const FAULT_EVERY_MS = [2000, 8000] as const
const RESTART_CHANCE = 0.4

/**
 * Rounds of mixed calls while nodes are killed and restarted. After each round the referee judges it, and when nothing runs any more
 * the memory is measured: of one node that lives as long as the run, after the collection of its garbage, and of Redis.
 */
export async function soak(options: SoakOptions, say: (line: string) => void): Promise<SoakReport> {
  await using dir = await temporaryDir()
  const keptMs = options.round * 1000 + LOOKED_AT_MS
  await using backend = await startBackend('redis')
  const ledger = join(dir.path, 'ledger')
  const flags = { store: backend.url, prefix: PREFIX, ledger, settings: settings(keptMs) }
  await using pool = await NodePool.start(NODES, flags)
  await using router = await TcpRouter.start(pool.ports)
  await using redis = closing(new Redis(backend.url))
  const [survivor] = pool.running
  const place = {
    backend,
    pool,
    router,
    ledger,
    survivor: survivor!,
    changes: new Changes(backend.contents.store),
  }
  const began = Date.now()
  // What the first rounds have left behind must be gone, or the store grows by what it keeps on purpose.
  const warmUpMs = Math.min(keptMs + 2 * options.round * 1000, options.minutes * 30_000)
  const samples: Sample[] = []
  const heap = new Heap(place.survivor, options.snapshots)
  const total = { calls: 0, violations: 0, takeovers: 0 }
  const isOver = () => options.stop?.aborted === true || Date.now() - began >= options.minutes * 60_000
  for (let round = 1; !isOver(); round++) {
    const { calls, violations, takeovers } = await playRound(round, options, place, say)
    total.calls += calls
    total.violations += violations
    total.takeovers += takeovers
    await deleteMaps(redis)
    const sample = { atMs: Date.now() - began, ...(await measure(place.survivor, redis)) }
    samples.push(sample)
    if (sample.atMs > warmUpMs) await heap.first()
    say(
      `${Math.round(sample.atMs / 1000)} s: round ${round}, ${calls} calls, ${violations} violations, ${told(sample)}`,
    )
  }
  const trends = Object.fromEntries(
    MEASURES.flatMap((name) => {
      const points: Point[] = samples
        .filter(({ atMs }) => atMs > warmUpMs)
        .map((sample) => ({ atMs: sample.atMs, value: sample[name] }))
      const trend = trendOf(points, options.limit)
      return trend ? [[name, trend]] : []
    }),
  ) as SoakReport['trends']
  const grows = Object.values(trends).some(({ verdict }) => verdict === 'grows')
  return {
    seed: options.seed,
    seconds: Math.round((Date.now() - began) / 1000),
    rounds: samples.length,
    ...total,
    kills: pool.kills,
    restarts: pool.restarts,
    warmUpMs,
    samples,
    trends,
    grown: await heap.grown(),
    passed: total.violations === 0 && !grows,
  }
}

type Place = {
  backend: Backend
  pool: NodePool
  router: TcpRouter
  ledger: string
  survivor: PoolNode
  changes: Changes
}

async function playRound(
  round: number,
  { seed, round: seconds }: SoakOptions,
  { backend, pool, router, ledger, survivor, changes }: Place,
  say: (line: string) => void,
) {
  const prefix = `${round}/`
  const calls = new ObservedCalls()
  const listeners: Listener[] = []
  const referee = new Referee(backend, calls, pool, ledger, say, { isOurs: (id) => id.startsWith(prefix) })
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(), seconds * 1000)
  const collecting = new AbortController()
  const collected = changes.collect(collecting.signal)
  const striking = strike(pool, survivor, new Random(seed + round, 'faults'), over.signal)
  await work({
    url: router.url,
    client: round % 2 === 0 ? 'ts2' : 'ts1',
    seed: seed + round,
    prefix,
    calls,
    listeners,
    signal: over.signal,
    ended: (call) => referee.ended(call),
  })
  await striking
  clearTimeout(timer)
  collecting.abort()
  await collected
  await changes.read()
  const verdict = await referee.verdict(await leftOpen(backend), listeners, changes)
  return { ...verdict, calls: calls.all.length }
}

/** Nodes die and are restarted as at a deploy, but for the one whose memory is measured. */
async function strike(pool: NodePool, survivor: PoolNode, random: Random, signal: AbortSignal) {
  while (!signal.aborted) {
    await sleep(random.between(...FAULT_EVERY_MS), undefined, { signal }).catch(() => undefined)
    const others = pool.running.filter((node) => node !== survivor)
    if (signal.aborted || others.length === 0) continue
    const node = random.pick(others)
    await (random.chance(RESTART_CHANCE) ? pool.restart(node) : pool.kill(node))
  }
  await pool.settled()
}

/** They stay until they are deleted, and each call makes one of its own. */
async function deleteMaps(redis: Redis) {
  for await (const keys of redis.scanStream({ match: `${PREFIX}:map:*`, count: 1000 }))
    if ((keys as string[]).length > 0) await redis.unlink(keys as string[])
}

async function measure({ port }: PoolNode, redis: Redis): Promise<Omit<Sample, 'atMs'>> {
  const answer = await fetch(`http://127.0.0.1:${port}/memory`)
  const { heapUsed, external, rss } = (await answer.json()) as NodeJS.MemoryUsage
  const [, used] = /used_memory:(\d+)/.exec(await redis.info('memory')) ?? []
  return {
    'heap of a node': heapUsed + external,
    'rss of a node': rss,
    'used_memory of Redis': Number(used),
    'keys of Redis': await redis.dbsize(),
  }
}

/** Snapshots of the heap of a node, if there is a folder for them. */
class Heap {
  readonly #port: number
  readonly #folder: string | undefined
  #first: string | undefined

  constructor({ port }: PoolNode, folder: string | undefined) {
    this.#port = port
    this.#folder = folder
  }

  async first() {
    if (this.#folder !== undefined)
      this.#first ??= await this.#snapshot(join(this.#folder, 'first.heapsnapshot'))
  }

  async grown(): Promise<Grown[]> {
    if (this.#folder === undefined || this.#first === undefined) return []
    return heapGrowth(this.#first, await this.#snapshot(join(this.#folder, 'last.heapsnapshot')))
  }

  async #snapshot(file: string): Promise<string> {
    await mkdir(dirname(file), { recursive: true })
    const answer = await fetch(`http://127.0.0.1:${this.#port}/snapshot?${encodeURIComponent(resolve(file))}`)
    return answer.text()
  }
}

function told(sample: Sample): string {
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
  const {
    'heap of a node': heap,
    'rss of a node': rss,
    'used_memory of Redis': used,
    'keys of Redis': keys,
  } = sample
  return `node ${mib(heap)} MiB (rss ${mib(rss)}), Redis ${mib(used)} MiB in ${keys} keys`
}

/** As in chaos, but what is stored goes soon. */
const settings = (keptMs: number) => ({
  heartbeatMs: 500,
  leaseMs: LEASE_MS,
  sweepMs: 1000,
  maxAttempts: 100,
  resumeWindowMs: keptMs,
  sessionTtlMs: keptMs,
  taskTtlMs: keptMs,
  retryMs: 500,
  serverIdleMs: 100,
  taskAfterMs: 250,
  onDisconnect: { cancelAfterMs: CANCEL_AFTER_MS },
  validateEffects: false,
})

const closing = (redis: Redis) =>
  Object.assign(redis, { [Symbol.asyncDispose]: async () => redis.disconnect() })

async function temporaryDir() {
  const path = await mkdtemp(join(tmpdir(), 'mcp-durable-soak-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
