import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NOBODY } from '@mcp-durable/core/store'
import { waitFor } from '../../test-support/index.js'
import { envelope, headersFor } from './alone-client.js'
import { openContents, urlIn } from './contents.js'
import type { Contents } from './contents.js'
import { CRASH_SETTINGS, operationsOf } from './crash-points.js'
import type { CrashPoint } from './crash-points.js'
import { Journal } from './journal.js'
import { Ledger } from './ledger.js'
import { startNode } from './node-pool.js'
import type { PoolNode } from './node-pool.js'

/** `points`: where the node that asks ends, and the one to which the client comes back; the third one lives. */
export type ParkedScenario = { store: string; points: readonly [CrashPoint, CrashPoint] }
export type ParkedOutcome = { violations: string[]; operations: string[][]; details: string }

type Asked = { inputRequests: Record<string, unknown>; requestState: string; resultType: string }
type Message = { id?: unknown; result?: Asked & { isError?: boolean }; error?: unknown }

const QUESTIONS = 2
const GIVE_UP_MS = 120_000
const REST_MS = 30
const SETTINGS = { ...CRASH_SETTINGS, eras: ['2026-07-28'], serverIdleMs: 50 }

/**
 * A call asks twice, and is parked each time before its client comes back, each time to the next node; nodes end where their
 * points say. A client that loses its connection sends its request again.
 */
export async function parkedRun({ store, points }: ParkedScenario): Promise<ParkedOutcome> {
  await using world = await World.create(store, points)
  const answered = await world.callTool()
  const operations = world.nodes.slice(0, 2).map(({ process }) => operationsOf(process.output))
  return { operations, ...(await world.judge(answered)) }
}

class World implements AsyncDisposable {
  readonly nodes: PoolNode[]
  readonly #contents: Contents
  readonly #dir: string
  readonly #dead = new Set<PoolNode>()
  /** What a call sends that begins it, whichever node it comes to. */
  readonly #key = randomUUID()

  private constructor(contents: Contents, dir: string, nodes: PoolNode[]) {
    this.#contents = contents
    this.#dir = dir
    this.nodes = nodes
    for (const node of nodes) void node.process.exited.then(() => this.#dead.add(node))
  }

  static async create(storeName: string, points: readonly CrashPoint[]) {
    const dir = await mkdtemp(join(tmpdir(), 'mcp-durable-parked-'))
    const prefix = `parked-${randomUUID()}`
    const store = urlIn(dir, storeName)
    const flags = { store, prefix, ledger: join(dir, 'ledger'), settings: SETTINGS }
    const mortal = points.map((crash) => startNode({ ...flags, crash }))
    const contents = openContents(store, prefix)
    return new World(contents, dir, await Promise.all([...mortal, startNode(flags)]))
  }

  async callTool(): Promise<Message | undefined> {
    const until = Date.now() + GIVE_UP_MS
    let asked: Asked | undefined
    let place = 0
    while (Date.now() < until) {
      const message = await this.#post(place, asked).catch(() => undefined)
      if (message?.result?.resultType !== 'input_required') {
        if (message) return message
        await sleep(REST_MS)
        continue
      }
      asked = message.result
      place++
      await waitFor(() => this.#isParked(), { timeoutMs: 3_000 }).catch(() => undefined)
    }
    return undefined
  }

  async judge(answered: Message | undefined): Promise<{ violations: string[]; details: string }> {
    const violations: string[] = []
    const journals = await this.#journals()
    const [journal] = journals
    const ledger = await Ledger.read(join(this.#dir, 'ledger'))
    if (journals.length !== 1) violations.push(`there are ${journals.length} journals`)
    if (!answered?.result || answered.result.isError)
      violations.push(`answered with ${JSON.stringify(answered)}`)
    if (JSON.stringify(journal?.response?.result) !== JSON.stringify(answered?.result))
      violations.push('the answer is not the one of the journal')
    const asked = journal?.records.filter(({ kind }) => kind === 'question') ?? []
    if (asked.length !== QUESTIONS) violations.push(`${asked.length} questions were asked`)
    for (let step = 1; step <= QUESTIONS; step++) {
      for (const id of [`question-${step}`, `note-${step}`]) {
        const done = journal?.steps.filter((each) => each.id === id && each.phase === 'done') ?? []
        if (done.length !== 1) violations.push(`the step ${id} has ended ${done.length} times`)
      }
      // A node that died in the middle may have done it, too.
      const times = ledger.count('ledger_ask', 'it', `note-${step}`)
      if (times < 1 || times > 1 + this.#dead.size) violations.push(`note-${step} was done ${times} times`)
    }
    if ((await this.#owner()) !== undefined) violations.push('the call is still open')
    const outputs = this.nodes.map(({ process }) => process.output)
    return { violations, details: [...journals.map((each) => each.print()), ...outputs].join('\n') }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map(({ process }) => process.kill('SIGKILL')))
    await this.#contents.close()
    await rm(this.#dir, { recursive: true, force: true })
  }

  /** Its last message; rejects if the connection breaks before, or if nothing listens. */
  async #post(place: number, asked: Asked | undefined): Promise<Message | undefined> {
    const node = [...this.nodes.slice(place), ...this.nodes].find((each) => !this.#dead.has(each))
    const answers = Object.keys(asked?.inputRequests ?? {}).map(
      (key) => [key, { action: 'accept', content: { answer: key } }] as const,
    )
    const again = asked && {
      requestState: asked.requestState,
      inputResponses: Object.fromEntries(answers),
    }
    const args = { id: 'it', questions: QUESTIONS }
    const params = { name: 'ledger_ask', arguments: args, ...again, _meta: envelope() }
    const response = await fetch(new URL('/mcp', node?.process.url), {
      method: 'POST',
      headers: {
        ...headersFor('tools/call', 'ledger_ask'),
        ...(asked === undefined && { 'idempotency-key': this.#key }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
      signal: AbortSignal.timeout(10_000),
    })
    const lines = (await response.text()).split('\n').filter((line) => line.startsWith('data: {'))
    const messages = lines.map((line) => JSON.parse(line.slice('data: '.length)) as Message)
    return messages.find((message) => 'result' in message || 'error' in message)
  }

  async #isParked() {
    return (await this.#owner()) === NOBODY
  }

  async #owner(): Promise<string | undefined> {
    const [journal] = await this.#contents.journals()
    return journal && (await this.#contents.store.listOpenCalls(journal.scope))[0]?.owner
  }

  async #journals(): Promise<Journal[]> {
    const { store } = this.#contents
    const names = await this.#contents.journals()
    return Promise.all(names.map(({ scope, callId }) => Journal.read(store, scope, callId)))
  }
}
