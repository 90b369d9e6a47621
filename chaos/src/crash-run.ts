import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { principalState, sessionIdOf, sessionState, sortedMap } from '@mcp-durable/core'
import type { FetchLike } from '@mcp-durable/core/client'
import { waitFor } from '../../test-support/index.js'
import { AloneClient } from './alone-client.js'
import { checkDeparture } from './check-departure.js'
import { checkCall } from './checks.js'
import { checkKept } from './check-task.js'
import { openContents, urlIn } from './contents.js'
import type { Contents } from './contents.js'
import { CRASH_SETTINGS, operationsOf } from './crash-points.js'
import type { CrashPoint } from './crash-points.js'
import { AGAIN } from './followed-call.js'
import { Journal } from './journal.js'
import { Ledger } from './ledger.js'
import type { Mutant } from './mutants.js'
import type { Mutation } from './mutations.js'
import { startNode } from './node-pool.js'
import type { PoolNode } from './node-pool.js'
import { ObservedCall, ObservedCalls } from './observed-call.js'
import type { Tool } from './observed-call.js'
import { observedFetch } from './observed-fetch.js'
import { RawClient } from './raw-client.js'
import { TaskClient } from './task-client.js'
import type { TaskManner } from './task-client.js'

export type CrashScenario = {
  /** URL of a Redis; `sqlite`: a file of its own. */
  store: string
  /** Where the node that opens the call ends, and then the one that takes it over; the last one lives. */
  points: readonly CrashPoint[]
  tool?: Tool & ('scenario' | 'plain' | 'task')
  /** How its client calls; default: in a session. */
  client?: CrashClient
  mutation?: Mutation | Mutant
}
/**
 * `alone`: without a session. `moving`: so, and all but its first request goes to the second node, from where it hears the
 * rest. `again`: so, and that is the same request with the same key. `twice`: without a session, and it answers once more,
 * something else. `late`: so, and it answers when another node runs the call. Else what one does that takes tasks, and asks
 * the second node for them.
 */
export type CrashClient = 'session' | 'alone' | 'moving' | 'again' | 'twice' | 'late' | `task ${TaskManner}`
export type CrashOutcome = {
  violations: string[]
  /** The operations of each mortal node, in turn. */
  operations: string[][]
  /** For a violation: what was written. */
  details: string
}

/** Only one that may take over looks for the dead. */
const NEVER_MS = 24 * 60 * 60_000
const CALLER = 'ann'
/** Of a task that nobody answers. Longer than it takes until it asks. */
const SHORT_TTL_MS = 3000
/** What a node does at once that goes on after a pause, or has taken over. */
const AFTERMATH_MS = 250

/** Runs the scenario once; each node ends where its point says, and the next one goes on. */
export async function crashRun({ store, points, ...scenario }: CrashScenario): Promise<CrashOutcome> {
  const { tool = 'scenario', client: kind = 'session', mutation } = scenario
  await using world = await World.create(store, mutation)
  const manner = kind.startsWith('task ') ? (kind.slice('task '.length) as TaskManner) : undefined
  if (manner === 'silent') world.settings = { taskTtlMs: SHORT_TTL_MS }
  const mortals = await Promise.all(
    points.map((point, index) => world.start({ ...(index === 0 && { sweepMs: NEVER_MS }) }, point)),
  )
  if (points.length === 1) await world.start({})
  const [first, second] = mortals
  const calls = new ObservedCalls()
  const again = once(AGAIN)
  const options = {
    fetch: observedFetch(
      calls,
      kind === 'moving' || kind === 'again' || manner ? world.sendMoving : world.send,
    ),
    url: new URL('http://node/mcp'),
    answer: async () => {
      if (points[0]?.moment === 'asked') await first?.process.kill('SIGKILL')
      if (kind === 'late') {
        await waitFor(() => world.isClaimed())
        await sleep(AFTERMATH_MS)
      }
      return randomUUID()
    },
    drops: () => (kind === 'again' || (kind === 'twice' && call.asked.length > 0) ? again() : undefined),
  }
  const session = kind === 'session' ? await RawClient.connect(options) : undefined
  const call = calls.add(new ObservedCall('it', tool, { id: 'it' }, { official: false, alone: !session }))
  const alone = manner ? new TaskClient({ ...options, manner }) : new AloneClient(options)
  const ended = (session ?? alone).call(call)
  const aftermath = isPause(points[0]) && resumed(world, first!, points[0], ended)
  if (second) void second.process.exited.then(() => (world.isOver ? undefined : world.start({})))
  await ended
  await aftermath
  const operations = mortals.map(({ process }) => operationsOf(process.output))
  return { operations, ...(await world.judge(call, session && sessionIdOf(session.sessionId))) }
}

/** To the first who asks. */
function once<T>(value: T): () => T | undefined {
  let left: T | undefined = value
  return () => {
    const given = left
    left = undefined
    return given
  }
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

/** The nodes of one scenario, over keys of its own. */
class World implements AsyncDisposable {
  readonly #contents: Contents
  readonly #flags: { store: string; prefix: string; ledger: string; mutation: string | undefined }
  readonly #dir: string
  readonly #nodes: { place: number; node: PoolNode; lost: AbortController }[] = []
  /** Of all nodes. */
  settings: object = {}
  /** Nodes that end now have no successor. */
  isOver = false
  #places = 0
  #sent = 0
  #starting: Promise<unknown> = Promise.resolve()

  private constructor(store: string, dir: string, mutation: string | undefined) {
    const prefix = `crash-${randomUUID()}`
    this.#contents = openContents(store, prefix)
    this.#dir = dir
    this.#flags = {
      store,
      prefix,
      ledger: join(dir, 'ledger'),
      mutation,
    }
  }

  static async create(store: string, mutation: string | undefined): Promise<World> {
    const dir = await mkdtemp(join(tmpdir(), 'mcp-durable-crash-'))
    return new World(urlIn(dir, store), dir, mutation)
  }

  /** To the first node that lives, in the order of their start. */
  readonly send: FetchLike = (url, init) => this.#send(0, url, init)

  /** The first request; the others to the second node, while it lives. */
  readonly sendMoving: FetchLike = (url, init) => this.#send(this.#sent++ === 0 ? 0 : 1, url, init)

  async #send(place: number, url: string | URL, init: RequestInit = {}) {
    const living = this.#nodes.filter(({ lost }) => !lost.signal.aborted)
    const target = living[place] ?? living[0]
    if (!target) throw new Error('no node')
    const { signal } = target.lost
    const { pathname } = new URL(url)
    const headers = new Headers(init.headers)
    headers.set('x-principal', CALLER)
    return fetch(new URL(pathname, target.node.process.url), {
      ...init,
      headers,
      signal: init.signal ? firstOf(init.signal, signal) : signal,
    })
  }

  async start(settings: object, crash?: CrashPoint): Promise<PoolNode> {
    const place = this.#places++
    const starting = startNode({
      ...this.#flags,
      settings: { ...CRASH_SETTINGS, ...this.settings, ...settings },
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

  /** `session`: the scope of the call, if it was of one. */
  async judge(
    call: ObservedCall,
    session: string | undefined,
  ): Promise<{ violations: string[]; details: string }> {
    const { store } = this.#contents
    const journals = await this.#journals()
    const violations = checkCall(call, journals, await Ledger.read(this.#flags.ledger))
    violations.push(...checkDeparture(call, journals, { nodes: new Map(), store: [] }))
    if (call.tool !== 'plain') {
      const times = call.outcome && 'text' in call.outcome ? 1 : 0
      const state = session === undefined ? principalState(store, CALLER) : sessionState(store, session)
      const visits = Number((await state.get()) ?? 0)
      if (visits !== times) violations.push(`the state was updated ${visits} times, not ${times}`)
      const entries = await sortedMap(store, 'made-it').range()
      if (entries.length !== times) violations.push(`the map was changed ${entries.length} times`)
    }
    violations.push(...(await checkKept(this.#contents, call, journals)))
    for (const scope of new Set(journals.map((journal) => journal.scope)))
      if ((await store.listOpenCalls(scope)).length > 0) violations.push('the call is still open')
    const outputs = this.#nodes.map(({ node }) => node.process.output)
    return { violations, details: [...journals.map((journal) => journal.print()), ...outputs].join('\n') }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isOver = true
    await this.#starting
    await Promise.all(this.#nodes.map(({ node }) => node.process.kill('SIGKILL')))
    await this.#contents.close()
    await rm(this.#dir, { recursive: true, force: true })
  }

  async #journals(): Promise<Journal[]> {
    const { store } = this.#contents
    const names = await this.#contents.journals()
    return Promise.all(names.map(({ scope, callId }) => Journal.read(store, scope, callId)))
  }
}

/** Not `AbortSignal.any`: Node.js 20 forgets a time that only it knows. */
function firstOf(...signals: readonly AbortSignal[]): AbortSignal {
  const first = new AbortController()
  for (const signal of signals) {
    const abort = () => first.abort(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
  }
  return first.signal
}
