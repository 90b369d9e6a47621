import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sealedStore } from '@mcp-durable/core'
import type { SealOptions } from '@mcp-durable/core'
import { PREFIX, startBackend } from './backend.js'
import type { Backend, BackendKind } from './backend.js'
import { Changes } from './changes.js'
import { CodeMix } from './code-mix.js'
import { codes } from './code-versions.js'
import { CANCEL_AFTER_MS } from './check-departure.js'
import { strike } from './faults.js'
import type { FaultKind } from './faults.js'
import { LEASE_MS, leftOpen, SWEEP_MS } from './left-open.js'
import type { Listener } from './listener.js'
import { NodePool } from './node-pool.js'
import { ObservedCalls } from './observed-call.js'
import type { ClientKind } from './official-clients.js'
import { Operation } from './operation.js'
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
  /** What the nodes put into the store is sealed. */
  seal?: boolean | undefined
  /** Beside the rest: calls that are counted in quotas, tools for tasks, and an operator who acts on calls. */
  operated?: boolean | undefined
  /** Beside the rest: nodes with several versions of one tool, whose calls the other versions may not fit. */
  versions?: boolean | undefined
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
  /** Calls that were counted, requests that were over a quota, and what was done to calls, by the kind of action. */
  counted?: number
  over?: number
  acted?: Record<string, number>
  /** Calls of a tool with several versions, how often one was parked by code that did not fit, and was to be tried again. */
  versioned?: number
  parked?: number
  retried?: number
}

const HEARTBEAT_MS = 500
const RETRY_MS = 500
const IDLE_MS = 100
/** Some of the calls that may be tasks end sooner. */
const TASK_AFTER_MS = 250
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
  const { operated, versions, mutation } = options
  const flags = { store: backend.url, prefix: PREFIX, ledger, settings, operated, mutation }
  await using pool = await NodePool.start(options.nodes, flags, versions ? codes : [])
  await using operation = operated ? new Operation(backend, seal) : undefined
  await using mix = versions ? new CodeMix(backend, seal) : undefined
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
  const { signal } = over
  const beside = [operation, mix].map(async (each) => each?.run({ url: router.url, seed, signal }))
  await work({
    url: router.url,
    client,
    seed,
    calls,
    listeners,
    signal,
    ended: (call) => referee.ended(call),
  })
  await Promise.all(beside)
  const struck = await striking
  clearTimeout(timer)
  clearInterval(progress)
  collecting.abort()
  await collected
  await changes.read()
  const open = await leftOpen(backend)
  const seconds = Math.round((Date.now() - began) / 1000)
  const acts = await operation?.judge({ ledgerFile: ledger, fates: pool.fates.values() }, (what) =>
    referee.violation(what),
  )
  const parkings = await mix?.judge(
    pool,
    { ledgerFile: ledger, fates: { nodes: pool.fates, store: backend.away } },
    (what) => referee.violation(what),
  )
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
    ...acts,
    ...parkings,
  }
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
