import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { PREFIX, startBackend } from './backend.js'
import type { Backend, BackendKind } from './backend.js'
import { strike } from './faults.js'
import type { FaultKind } from './faults.js'
import { NodePool } from './node-pool.js'
import { ObservedCalls } from './observed-call.js'
import type { ClientKind } from './official-clients.js'
import { Random } from './random.js'
import { Referee } from './referee.js'
import type { Verdict } from './referee.js'
import { TcpRouter } from './tcp-router.js'
import { work } from './workload.js'

export type ChaosOptions = {
  seconds: number
  seed: number
  nodes: number
  store: BackendKind
  faults: readonly FaultKind[]
  client: ClientKind
  /** For the test of the tests; see `mutations.ts`. */
  mutation?: string | undefined
}

export type ChaosReport = Verdict & {
  seed: number
  seconds: number
  calls: number
  kills: number
  pauses: number
  redisKills: number
  cuts: number
  /** POSTs that failed before the first byte of their answer, and were sent again. */
  reposts: number
}

const HEARTBEAT_MS = 500
const LEASE_MS = 2500
const SWEEP_MS = 1000
const SAY_EVERY_MS = 5000

export async function chaos(options: ChaosOptions, say: (line: string) => void): Promise<ChaosReport> {
  await using dir = await temporaryDir()
  const ledger = join(dir.path, 'ledger')
  await using backend = await startBackend(options.store)
  const settings = {
    heartbeatMs: HEARTBEAT_MS,
    leaseMs: LEASE_MS,
    sweepMs: SWEEP_MS,
    // What must not be given up, and not expire, before it was looked at.
    maxAttempts: 100,
    resumeWindowMs: (options.seconds + 900) * 1000,
    validateEffects: false,
  }
  const env = { MCP_CHAOS_MUTATION: options.mutation ?? '' }
  const flags = { redis: backend.urls, prefix: PREFIX, ledger, settings, env }
  await using pool = await NodePool.start(options.nodes, flags)
  await using router = await TcpRouter.start(pool.ports)
  const calls = new ObservedCalls()
  const referee = new Referee(backend, calls, pool, ledger, say)

  const began = Date.now()
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(), options.seconds * 1000)
  const progress = setInterval(() => say(referee.progress(began)), SAY_EVERY_MS)
  const striking = strike(
    options.faults,
    { pool, backend, router, leaseMs: LEASE_MS },
    new Random(options.seed, 'faults'),
    over.signal,
  )
  const { client, seed } = options
  await work({
    url: router.url,
    client,
    seed,
    calls,
    signal: over.signal,
    ended: (call) => referee.ended(call),
  })
  const struck = await striking
  clearTimeout(timer)
  clearInterval(progress)
  const open = await leftOpen(backend)
  const seconds = Math.round((Date.now() - began) / 1000)
  const verdict = await referee.verdict(open)
  return {
    seed,
    seconds,
    calls: calls.all.length,
    kills: pool.kills,
    pauses: pool.pauses,
    ...verdict,
    redisKills: struck.redis,
    cuts: struck.proxy,
    reposts: calls.reposts,
  }
}

/** Every client has its results; what is open still was left behind. */
async function leftOpen(backend: Backend): Promise<string[]> {
  const deadline = Date.now() + LEASE_MS + SWEEP_MS + 2000
  let open = await openCalls(backend)
  while (open.length > 0 && Date.now() < deadline) {
    await sleep(200)
    open = await openCalls(backend)
  }
  return open
}

async function openCalls({ store }: Backend): Promise<string[]> {
  const open: string[] = []
  let cursor: string | undefined
  do {
    const page = await store.listSessions(cursor, 500)
    for (const id of page.ids) open.push(...(await store.listOpenCalls(id)).map(({ callId }) => callId))
    cursor = page.cursor
  } while (cursor !== undefined)
  return open
}

async function temporaryDir() {
  const path = await mkdtemp(join(tmpdir(), 'mcp-durable-chaos-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
