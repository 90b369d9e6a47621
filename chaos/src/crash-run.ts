import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sessionIdOf, sessionState, sortedMap } from '@mcp-durable/core'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import type { FetchLike } from '@mcp-durable/core/client'
import { waitFor } from '../../test-support/index.js'
import { journalsIn } from './backend.js'
import { checkCall } from './checks.js'
import type { CrashPoint } from './crash-points.js'
import { Journal } from './journal.js'
import { Ledger } from './ledger.js'
import type { Mutation } from './mutations.js'
import { startNode } from './node-pool.js'
import type { PoolNode } from './node-pool.js'
import { ObservedCall, ObservedCalls } from './observed-call.js'
import { observedFetch } from './observed-fetch.js'
import { RawClient } from './raw-client.js'

export type CrashScenario = {
  redis: string
  /** Where the node that opens the call ends, and then the one that takes it over; the last one lives. */
  points: readonly CrashPoint[]
  mutation?: Mutation
}
export type CrashOutcome = {
  violations: string[]
  /** The operations of each mortal node, in turn. */
  operations: string[][]
  /** For a violation: what was written. */
  details: string
}

/** Only one that may take over looks for the dead. */
const NEVER_MS = 24 * 60 * 60_000
const SETTINGS = {
  heartbeatMs: 100,
  leaseMs: 1000,
  sweepMs: 100,
  retryMs: 20,
  maxAttempts: 10,
  validateEffects: false,
}
/** What a node that goes on after a pause does at once. */
const AFTERMATH_MS = 250

/** Runs the scenario once; each node ends where its point says, and the next one goes on. */
export async function crashRun({ redis, points, mutation }: CrashScenario): Promise<CrashOutcome> {
  await using world = await World.create(redis, mutation)
  const mortals = await Promise.all(
    points.map((point, index) => world.start({ ...(index === 0 && { sweepMs: NEVER_MS }) }, point)),
  )
  if (points.length === 1) await world.start({})
  const calls = new ObservedCalls()
  const client = await RawClient.connect({
    fetch: observedFetch(calls, world.send),
    url: new URL('http://node/mcp'),
    answer: () => randomUUID(),
  })
  const call = calls.add(new ObservedCall('it', 'scenario', { id: 'it' }, false))
  const ended = client.call(call)
  const [first, second] = mortals
  const aftermath = isPause(points[0]) && resumed(world, first!, points[0], ended)
  if (second) void second.process.exited.then(() => world.start({}))
  await ended
  await aftermath
  const operations = mortals.map(({ process }) => operationsOf(process.output))
  return { operations, ...(await world.judge(call, sessionIdOf(client.sessionId))) }
}

/** Stops, as far as its client can tell, and goes on: while the next owner runs the call, or when that has ended it. */
async function resumed(
  world: World,
  node: PoolNode,
  { operation, moment }: CrashPoint,
  ended: Promise<void>,
) {
  const reached = waitFor(() => node.process.output.includes(`operation ${operation} `))
  if (await Promise.race([reached.then(() => false), ended.then(() => true)])) return
  world.lose(node)
  if (moment === 'overlap')
    await waitFor(() => world.isClaimed(), { timeoutMs: 3_000 }).catch(() => undefined)
  else await ended
  node.process.resume()
  await ended
  await sleep(AFTERMATH_MS)
}

const isPause = (point: CrashPoint | undefined): point is CrashPoint =>
  point?.moment === 'pause' || point?.moment === 'overlap'

const operationsOf = (output: string) =>
  [...output.matchAll(/^operation \d+ (\w+)$/gm)].map(([, name = '']) => name)

/** The nodes of one scenario, over keys of its own. */
class World implements AsyncDisposable {
  readonly #redis: Redis
  readonly #flags: { redis: string; prefix: string; ledger: string; env: NodeJS.ProcessEnv }
  readonly #dir: string
  readonly #nodes: { place: number; node: PoolNode; lost: AbortController }[] = []
  #places = 0
  #starting: Promise<unknown> = Promise.resolve()

  private constructor(redis: string, dir: string, mutation: Mutation | undefined) {
    this.#redis = new Redis(redis)
    this.#dir = dir
    this.#flags = {
      redis,
      prefix: `crash-${randomUUID()}`,
      ledger: join(dir, 'ledger'),
      env: { MCP_CHAOS_MUTATION: mutation ?? '' },
    }
  }

  static async create(redis: string, mutation: Mutation | undefined): Promise<World> {
    return new World(redis, await mkdtemp(join(tmpdir(), 'mcp-durable-crash-')), mutation)
  }

  /** To the first node that lives, in the order of their start. */
  readonly send: FetchLike = async (url, init = {}) => {
    const target = this.#nodes.find(({ lost }) => !lost.signal.aborted)
    if (!target) throw new Error('no node')
    const { signal } = target.lost
    const { pathname } = new URL(url)
    return fetch(new URL(pathname, target.node.process.url), {
      ...init,
      signal: init.signal ? AbortSignal.any([init.signal, signal]) : signal,
    })
  }

  async start(settings: object, crash?: CrashPoint): Promise<PoolNode> {
    const place = this.#places++
    const starting = startNode({
      ...this.#flags,
      settings: { ...SETTINGS, ...settings },
      ...(crash && { crash }),
    })
    this.#starting = Promise.allSettled([this.#starting, starting])
    const node = await starting
    this.#nodes.push({ place, node, lost: new AbortController() })
    this.#nodes.sort((a, b) => a.place - b.place)
    void node.process.exited.then(() => this.lose(node))
    return node
  }

  /** Nothing goes to this node any more, and what came from it breaks off. */
  lose(node: PoolNode) {
    this.#nodes.find((entry) => entry.node === node)?.lost.abort()
  }

  async isClaimed(): Promise<boolean> {
    const [journal] = await this.#journals()
    return (journal?.owners.length ?? 0) > 1
  }

  async judge(call: ObservedCall, scope: string): Promise<{ violations: string[]; details: string }> {
    const store = redisStore(this.#redis, { prefix: this.#flags.prefix })
    const journals = await this.#journals()
    const violations = checkCall(call, journals, await Ledger.read(this.#flags.ledger))
    const visits = await sessionState(store, scope).get()
    if (visits !== 1) violations.push(`the state was updated ${String(visits)} times`)
    const entries = await sortedMap(store, 'made-it').range()
    if (entries.length !== 1) violations.push(`the map was changed ${entries.length} times`)
    const open = await store.listOpenCalls(scope)
    if (open.length > 0) violations.push('the call is still open')
    await store.close()
    const outputs = this.#nodes.map(({ node }) => node.process.output)
    return { violations, details: [...journals.map((journal) => journal.print()), ...outputs].join('\n') }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#starting
    await Promise.all(this.#nodes.map(({ node }) => node.process.kill('SIGKILL')))
    this.#redis.disconnect()
    await rm(this.#dir, { recursive: true, force: true })
  }

  async #journals(): Promise<Journal[]> {
    const { prefix } = this.#flags
    const store = redisStore(this.#redis, { prefix })
    const names = await journalsIn(this.#redis, prefix)
    return Promise.all(names.map(({ scope, callId }) => Journal.read(store, scope, callId)))
  }
}
