import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RedisServer } from '../../../test-support/index.js'
import type { Bench } from '../bench.js'
import type { Alternating } from '../load/alternating.js'
import type { LoopResult } from '../load/closed-loop.js'
import { median } from '../measure.js'
import type { Contestant } from '../processes.js'
import { selfTimes } from '../report/cpu-profile.js'
import { redisCpu } from './redis.js'

const CLIENTS = 32

/** A contestant, and how it did in each round. */
export class Entrant {
  readonly name: string
  readonly rushes: LoopResult[] = []
  readonly singles: Alternating[] = []
  readonly cpu: { server: number; redis: number }[] = []
  readonly #redis: RedisServer
  readonly #contestant: Contestant
  readonly #sessionless: boolean

  /** `sessionless`: its clients speak protocol 2026-07-28. */
  constructor(name: string, redis: RedisServer, contestant: Contestant, sessionless = false) {
    this.name = name
    this.#redis = redis
    this.#contestant = contestant
    this.#sessionless = sessionless
  }

  async warmUp({ load, effort }: Bench) {
    const { warmUpMs, warmUpCalls } = effort
    await load.tell('closedLoop', this.#loop({ warmUpMs, warmUpCalls, ms: 1 }))
  }

  /** As many calls as it can from 32 clients. */
  async rush({ load, effort, profile }: Bench) {
    const before = await this.#cpuUsed()
    const began = performance.now()
    const result = await this.#contestant.profiled(profile(`calls-${this.name}`), () =>
      load.tell('closedLoop', this.#loop({ warmUpMs: 200, ms: effort.roundMs })),
    )
    const after = await this.#cpuUsed()
    const done = (result.perSecond * (performance.now() - began)) / 1000
    this.rushes.push(result)
    this.cpu.push({
      server: (after.server - before.server) / done,
      redis: (after.redis - before.redis) / done,
    })
  }

  /** Calls of as many steps per second, from as many clients. */
  async callsOfSteps({ load, effort }: Bench, steps: number) {
    const loop = this.#loop({ warmUpMs: 200, ms: effort.roundMs })
    const { perSecond } = await load.tell('closedLoop', { ...loop, steps })
    return perSecond
  }

  /** One client, which also says how long a PING takes meanwhile. */
  async alone({ load, effort, profile }: Bench) {
    const { url } = this.#contestant
    const times = { warmUpMs: 100, ms: effort.roundMs / 2 }
    const job = { url, redis: this.#redis.url, ...times, sessionless: this.#sessionless }
    const result = await this.#contestant.profiled(profile(`latency-${this.name}`), () =>
      load.tell('alternating', job),
    )
    this.singles.push(result)
  }

  #loop(times: { warmUpMs: number; warmUpCalls?: number; ms: number }) {
    const { url } = this.#contestant
    return { url, clients: CLIENTS, sessionless: this.#sessionless, ...times }
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

async function temporaryDir() {
  const path = await mkdtemp(join(tmpdir(), 'mcp-durable-bench-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
