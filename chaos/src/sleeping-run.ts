import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isParked } from '@mcp-durable/core/store'
import { waitFor } from '../../test-support/index.js'
import { envelope, headersFor } from './alone-client.js'
import { openContents, urlIn } from './contents.js'
import type { Contents } from './contents.js'
import { CRASH_SETTINGS, operationsOf } from './crash-points.js'
import type { CrashPoint } from './crash-points.js'
import { Journal } from './journal.js'
import { Ledger } from './ledger.js'
import { startNode } from './node-pool.js'
import type { NodeFlags, PoolNode } from './node-pool.js'

/** `points`: where the node that begins the call ends, and the one that wakes it first; the third one lives. */
export type SleepingScenario = { store: string; points: readonly [CrashPoint, CrashPoint] }
export type SleepingOutcome = { violations: string[]; operations: string[][]; details: string }

type Message = { id?: unknown; result?: { isError?: boolean }; error?: unknown }

/** A little longer than what is not worth to be parked. */
const SLEEP_MS = 2_400
const STEPS = ['linger-1', 'linger-2']
const GIVE_UP_MS = 120_000
const SETTINGS = { ...CRASH_SETTINGS, eras: ['2026-07-28'], serverIdleMs: 50 }

/**
 * A call sleeps twice, and is parked each time. Each node ends where its point says, or is killed once the call is asleep; so it is
 * woken by the next one. A client that loses its connection sends its request again.
 */
export async function sleepingRun({ store, points }: SleepingScenario): Promise<SleepingOutcome> {
  await using world = await World.create(store, points)
  const answering = world.callTool()
  await world.killEachOnceAsleep()
  const answered = await answering
  const operations = world.nodes.slice(0, 2).map(({ process }) => operationsOf(process.output))
  return { operations, ...(await world.judge(answered)) }
}

class World implements AsyncDisposable {
  readonly nodes: PoolNode[] = []
  readonly #contents: Contents
  readonly #flags: NodeFlags
  readonly #points: readonly CrashPoint[]
  readonly #dir: string
  readonly #dead = new Set<PoolNode>()
  /** What a call sends that begins it, whichever node it comes to. */
  readonly #key = randomUUID()
  #isAnswered = false

  private constructor(contents: Contents, flags: NodeFlags, dir: string, points: readonly CrashPoint[]) {
    this.#contents = contents
    this.#flags = flags
    this.#dir = dir
    this.#points = points
  }

  static async create(storeName: string, points: readonly CrashPoint[]) {
    const dir = await mkdtemp(join(tmpdir(), 'mcp-durable-sleeping-'))
    const prefix = `sleeping-${randomUUID()}`
    const store = urlIn(dir, storeName)
    const flags = { store, prefix, ledger: join(dir, 'ledger'), settings: SETTINGS }
    const world = new World(openContents(store, prefix), flags, dir, points)
    await world.#start()
    return world
  }

  /** The next node. */
  async #start() {
    const crash = this.#points[this.nodes.length]
    const node = await startNode({ ...this.#flags, ...(crash && { crash }) })
    this.nodes.push(node)
    void node.process.exited.then(() => this.#dead.add(node))
  }

  async killEachOnceAsleep() {
    for (let place = 0; place < this.#points.length; place++) {
      const node = this.nodes[place]
      // One that was woken has been parked by the nodes before.
      const isDone = async () => this.#isAnswered || this.#isDead(node) || (await this.#parked()) > place
      await waitFor(isDone, { timeoutMs: GIVE_UP_MS })
      if (this.#isAnswered) return
      // There is always somebody whom the client can ask, and who looks after it.
      await node?.process.kill('SIGKILL')
      await this.#start()
    }
  }

  async callTool(): Promise<Message | undefined> {
    const until = Date.now() + GIVE_UP_MS
    while (Date.now() < until) {
      const message = await this.#post().catch(() => undefined)
      if (message) {
        this.#isAnswered = true
        return message
      }
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
    return undefined
  }

  async judge(answered: Message | undefined): Promise<Omit<SleepingOutcome, 'operations'>> {
    const violations: string[] = []
    const journals = await this.#journals()
    const [journal] = journals
    const ledger = await Ledger.read(join(this.#dir, 'ledger'))
    if (journals.length !== 1) violations.push(`there are ${journals.length} journals`)
    if (!answered?.result || answered.result.isError)
      violations.push(`answered with ${JSON.stringify(answered)}`)
    if (JSON.stringify(journal?.response?.result) !== JSON.stringify(answered?.result))
      violations.push('the answer is not the one of the journal')
    for (const step of STEPS) {
      for (const id of [step, `after ${step}`]) {
        const done = journal?.steps.filter((each) => each.id === id && each.phase === 'done') ?? []
        if (done.length !== 1) violations.push(`the step ${id} has ended ${done.length} times`)
      }
      // A node that died in the middle may have done it, too.
      const times = ledger.count('linger', 'it', step)
      if (times < 1 || times > 1 + this.#dead.size) violations.push(`${step} was done ${times} times`)
    }
    if (await this.#isOpen()) violations.push('the call is still open')
    // What is left of entries is found not to be open any more.
    const nothingDue = async () => (await this.#contents.dueEntries()) === 0
    await waitFor(nothingDue, { timeoutMs: GIVE_UP_MS }).catch(() => violations.push('entries are left'))
    const outputs = this.nodes.map(({ process }) => process.output)
    const details = [...journals.map((each) => each.print()), ...outputs].join('\n')
    return { violations, details }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map(({ process }) => process.kill('SIGKILL')))
    await this.#contents.close()
    await rm(this.#dir, { recursive: true, force: true })
  }

  #isDead(node: PoolNode | undefined) {
    return node !== undefined && this.#dead.has(node)
  }

  /** Its last message; rejects if the connection breaks before, or if nothing listens. */
  async #post(): Promise<Message | undefined> {
    const node = this.nodes.findLast((each) => !this.#dead.has(each))
    const params = { name: 'linger', arguments: { id: 'it', delayMs: 2 * SLEEP_MS }, _meta: envelope() }
    const response = await fetch(new URL('/mcp', node?.process.url), {
      method: 'POST',
      headers: { ...headersFor('tools/call', 'linger'), 'idempotency-key': this.#key },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
      signal: AbortSignal.timeout(20_000),
    })
    const lines = (await response.text()).split('\n').filter((line) => line.startsWith('data: {'))
    const messages = lines.map((line) => JSON.parse(line.slice('data: '.length)) as Message)
    return messages.find((message) => 'result' in message || 'error' in message)
  }

  /** How often it was parked, if it is now; else 0. */
  async #parked(): Promise<number> {
    const [journal] = await this.#journals()
    return journal?.records.at(-1)?.kind === 'parked' && (await this.#owners()).every(isParked)
      ? journal.records.filter(({ kind }) => kind === 'parked').length
      : 0
  }

  async #isOpen() {
    return (await this.#owners()).length > 0
  }

  async #owners(): Promise<string[]> {
    const [journal] = await this.#contents.journals()
    return journal ? (await this.#contents.store.listOpenCalls(journal.scope)).map(({ owner }) => owner) : []
  }

  async #journals(): Promise<Journal[]> {
    const { store } = this.#contents
    const names = await this.#contents.journals()
    return Promise.all(names.map(({ scope, callId }) => Journal.read(store, scope, callId)))
  }
}
