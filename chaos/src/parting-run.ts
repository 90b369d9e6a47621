import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RunRefusedError } from '@mcp-durable/core/errors'
import { runsOf } from '@mcp-durable/core/runs'
import { waitFor } from '../../test-support/index.js'
import { envelope, headersFor, TAKES_TASKS } from './alone-client.js'
import { checkVersions } from './check-versioned.js'
import { VERSIONED } from './code-versions.js'
import type { Code } from './code-versions.js'
import { openContents, urlIn } from './contents.js'
import type { Contents } from './contents.js'
import { CRASH_SETTINGS, operationsOf } from './crash-points.js'
import type { CrashPoint } from './crash-points.js'
import { Journal } from './journal.js'
import { startNode } from './node-pool.js'
import type { NodeFlags, PoolNode } from './node-pool.js'

/** `points`: where the node ends that parks the call, and the one that takes it then, whose code fits. */
export type PartingScenario = { store: string; points: readonly [CrashPoint, CrashPoint] }
export type PartingOutcome = { violations: string[]; operations: string[][]; details: string }

/** Between the steps. */
const REST_MS = 250
const GIVE_UP_MS = 120_000
const SETTINGS = { ...CRASH_SETTINGS, eras: ['2026-07-28'], divergesAfterMs: 800, taskAfterMs: 0 }
/** Only one that may take over looks for the dead. */
const NEVER_MS = 24 * 60 * 60_000

/**
 * A node charges, and is killed. The code of the next one does not fit: it parks the call, tries it again as an operator wants it, and
 * parks it again. The third fits, and ends it. The last two end where their points say; then a node of the same version is started.
 */
export async function partingRun({ store, points }: PartingScenario): Promise<PartingOutcome> {
  await using world = await World.create(store)
  const parking = await world.start('v2', points[0])
  await world.charged()
  await world.parked(1)
  await world.retry()
  await world.parked(2)
  const fitting = await world.start('v1', points[1])
  await world.ended()
  const operations = [parking, fitting].map(({ process }) => operationsOf(process.output))
  return { operations, ...(await world.judge()) }
}

class World implements AsyncDisposable {
  readonly #contents: Contents
  readonly #flags: NodeFlags
  readonly #dir: string
  readonly #nodes: PoolNode[] = []
  readonly #starting: Promise<unknown>[] = []
  #isOver = false
  #gaveUp: string[] = []

  private constructor(contents: Contents, flags: NodeFlags, dir: string) {
    this.#contents = contents
    this.#flags = flags
    this.#dir = dir
  }

  static async create(storeName: string) {
    const dir = await mkdtemp(join(tmpdir(), 'mcp-durable-parting-'))
    const prefix = `parting-${randomUUID()}`
    const store = urlIn(dir, storeName)
    const flags = { store, prefix, ledger: join(dir, 'ledger'), settings: SETTINGS }
    return new World(openContents(store, prefix, { name: VERSIONED }), flags, dir)
  }

  /** With a point, it is followed by one without when it has ended. */
  async start(code: Code, crash?: CrashPoint, more: Partial<NodeFlags> = {}): Promise<PoolNode> {
    const node = await startNode({ ...this.#flags, ...more, code, ...(crash && { crash }) })
    this.#nodes.push(node)
    if (crash) void this.#follow(node, code)
    return node
  }

  async #follow({ process }: PoolNode, code: Code) {
    await process.exited
    if (!this.#isOver) this.#starting.push(this.start(code))
  }

  /** Begins the call on a node that dies when it has charged, and nothing more. */
  async charged() {
    const more = { settings: { ...SETTINGS, sweepMs: NEVER_MS }, staysAt: 'charge' }
    const { process } = await this.start('v1', undefined, more)
    const params = {
      name: VERSIONED,
      arguments: { id: 'it', delayMs: REST_MS },
      _meta: envelope(TAKES_TASKS),
    }
    const response = await fetch(new URL(`/${VERSIONED}`, process.url), {
      method: 'POST',
      headers: headersFor('tools/call', VERSIONED),
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
    })
    await response.text()
    await this.#until('it was charged', async () =>
      (await this.#journal()).steps.some(({ id, phase }) => id === 'charge' && phase === 'done'),
    )
    await process.kill('SIGKILL')
  }

  /** So often. What a node could not note as it died shows again. */
  async parked(times: number) {
    await this.#until(`parked ${times} times`, async () => {
      const { records } = await this.#journal()
      const isLeft = ['diverged', 'returned'].includes(records.at(-1)?.kind ?? '')
      return isLeft && records.filter(({ kind }) => kind === 'diverged').length >= times
    })
  }

  async retry() {
    const { store } = this.#contents
    const { scope, callId } = await this.#journal()
    // A node may be at it: a call that runs has nothing to be tried again.
    await this.#until('an operator has it tried again', async () => {
      try {
        return await runsOf(store, { by: 'chaos' }).retry({ scope, callId })
      } catch (error) {
        if (error instanceof RunRefusedError) return false
        throw error
      }
    })
  }

  async ended() {
    await this.#until('it has ended', async () => (await this.#journal()).terminals.length > 0)
  }

  async judge(): Promise<Omit<PartingOutcome, 'operations'>> {
    const journals = await this.#journals()
    const violations = [...this.#gaveUp, ...checkVersions(journals, await this.#ledger())]
    if (journals.length !== 1) violations.push(`there are ${journals.length} journals`)
    for (const { scope } of journals)
      if ((await this.#contents.store.listOpenCalls(scope)).length > 0) violations.push('it is still open')
    const outputs = this.#nodes.map(({ process }) => process.output)
    return { violations, details: [...journals.map((each) => each.print()), ...outputs].join('\n') }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await Promise.allSettled(this.#starting)
    await Promise.all(this.#nodes.map(({ process }) => process.kill('SIGKILL')))
    await this.#contents.close()
    await rm(this.#dir, { recursive: true, force: true })
  }

  async #until(what: string, condition: () => Promise<unknown>) {
    if (this.#gaveUp.length > 0) return
    await waitFor(condition, { timeoutMs: GIVE_UP_MS, what }).catch((error: Error) =>
      this.#gaveUp.push(error.message),
    )
  }

  #ledger() {
    return readFile(this.#flags.ledger, 'utf8').catch(() => '')
  }

  async #journal(): Promise<Journal> {
    const [journal] = await this.#journals()
    if (!journal) throw new Error('There is no journal.')
    return journal
  }

  async #journals(): Promise<Journal[]> {
    const { store } = this.#contents
    const names = await this.#contents.journals()
    return Promise.all(names.map(({ scope, callId }) => Journal.read(store, scope, callId)))
  }
}
