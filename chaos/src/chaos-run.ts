import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sealedStore } from '@mcp-durable/core'
import type { SealOptions } from '@mcp-durable/core'
import { PREFIX, startBackend } from './backend.js'
import type { Backend, BackendKind } from './backend.js'
import { Changes } from './changes.js'
import { CANCEL_AFTER_MS } from './check-departure.js'
import { strike } from './faults.js'
import type { FaultKind } from './faults.js'
import type { Listener } from './listener.js'
import { NodePool } from './node-pool.js'
import { ObservedCalls } from './observed-call.js'
import type { ClientKind } from './official-clients.js'
import { Random } from './random.js'
import { Referee } from './referee.js'
import type { Verdict } from './referee.js'
import { TcpRouter } from './tcp-router.js'
import { LINGER_MS, work } from './workload.js'

export type ChaosOptions = {
  seconds: number
  seed: number
  nodes: number
  store: BackendKind
  faults: readonly FaultKind[]
  client: ClientKind
  /** What the nodes put into the store is sealed. */
  seal?: boolean | undefined
  /** For the test of the tests; see `mutations.ts` and `mutants.ts`. */
  mutation?: string | undefined
}

export type ChaosReport = Verdict & {
  seed: number
  seconds: number
  calls: number
  kills: number
  pauses: number
  storeFaults: number
  cuts: number
  /** POSTs that failed before the first byte of their answer, and were sent again. */
  reposts: number
}

const HEARTBEAT_MS = 500
const LEASE_MS = 2500
const SWEEP_MS = 1000
const RETRY_MS = 500
const IDLE_MS = 100
/** Some of the calls that may be tasks end sooner. */
const TASK_AFTER_MS = 250
/** What is open when all clients have their results: calls whose clients went away, and those that lost their owner. */
const OPEN_FOR_MS = CANCEL_AFTER_MS + LINGER_MS + LEASE_MS + SWEEP_MS
const SAY_EVERY_MS = 5000

export async function chaos(options: ChaosOptions, say: (line: string) => void): Promise<ChaosReport> {
  await using dir = await temporaryDir()
  const ledger = join(dir.path, 'ledger')
  const seal = options.seal ? { keys: [randomBytes(32).toString('base64')] } : undefined
  await using backend = opening(await startBackend(options.store), seal)
  const settings = {
    heartbeatMs: HEARTBEAT_MS,
    leaseMs: LEASE_MS,
    sweepMs: SWEEP_MS,
    // What must not be given up, and not expire, before it was looked at.
    maxAttempts: 100,
    resumeWindowMs: (options.seconds + 900) * 1000,
    retryMs: RETRY_MS,
    // Calls that wait for their client are parked soon.
    serverIdleMs: IDLE_MS,
    taskAfterMs: TASK_AFTER_MS,
    onDisconnect: { cancelAfterMs: CANCEL_AFTER_MS },
    validateEffects: false,
    ...(seal && { seal: { ...seal, plain: 'refuse' } }),
  }
  const flags = { store: backend.url, prefix: PREFIX, ledger, settings, mutation: options.mutation }
  await using pool = await NodePool.start(options.nodes, flags)
  await using router = await TcpRouter.start(pool.ports)
  const calls = new ObservedCalls()
  const listeners: Listener[] = []
  const changes = new Changes(backend.contents.store)
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
  const collecting = new AbortController()
  const collected = changes.collect(collecting.signal)
  const { client, seed } = options
  await work({
    url: router.url,
    client,
    seed,
    calls,
    listeners,
    signal: over.signal,
    ended: (call) => referee.ended(call),
  })
  const struck = await striking
  clearTimeout(timer)
  clearInterval(progress)
  collecting.abort()
  await collected
  await changes.read()
  const open = await leftOpen(backend)
  const seconds = Math.round((Date.now() - began) / 1000)
  const verdict = await referee.verdict(open, listeners, changes)
  return {
    seed,
    seconds,
    calls: calls.all.length,
    kills: pool.kills,
    pauses: pool.pauses,
    ...verdict,
    storeFaults: struck.store,
    cuts: struck.proxy,
    reposts: calls.reposts,
  }
}

/** Every client has its results; what is open still was left behind. */
export async function leftOpen(backend: Backend): Promise<string[]> {
  const deadline = Date.now() + OPEN_FOR_MS
  let open = await openCalls(backend)
  while (open.length > 0 && Date.now() < deadline) {
    await sleep(200)
    open = await openCalls(backend)
  }
  return open
}

async function openCalls({ contents }: Backend): Promise<string[]> {
  const scopes = [...new Set((await contents.journals()).map(({ scope }) => scope))]
  const open = await Promise.all(scopes.map((scope) => contents.store.listOpenCalls(scope)))
  return open.flat().map(({ callId }) => callId)
}

async function temporaryDir() {
  const path = await mkdtemp(join(tmpdir(), 'mcp-durable-chaos-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/** The checks look at what has been sealed with the key of the nodes. */
function opening(backend: Backend, seal: SealOptions | undefined): Backend {
  if (!seal) return backend
  return { ...backend, contents: { ...backend.contents, store: sealedStore(backend.contents.store, seal) } }
}
