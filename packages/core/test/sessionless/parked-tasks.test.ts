import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { encodeInboxItem } from '../../src/call/inbox.js'
import { parseRecord } from '../../src/call/record.js'
import { requestKeyPrefix } from '../../src/ids.js'
import { durableTool, taskTools } from '../../src/index.js'
import type { DurableContext } from '../../src/index.js'
import { META, TASKS } from '../../src/protocol.js'
import { ASLEEP, BEGINNING, NOBODY } from '../../src/store/index.js'
import type { Store } from '../../src/store/index.js'
import { Alone } from '../support/alone.js'
import { ask } from '../support/caller.js'
import { startNodes } from '../support/nodes.js'
import { expectJson } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { Happenings } from '../support/world.js'
import type { StoreKind } from '../support/stores.js'
import { waitFor } from '../../../../test-support/index.js'

// Tasks that nobody runs: who looks at them leaves them so, and who cancels them ends them.

const meta = { [META.clientCapabilities]: { elicitation: {}, extensions: { [TASKS]: {} } } }
const ID = 7
const LONG_MS = 60_000
const LOOKS = 5

const QUICK = { heartbeatMs: 50, sweepMs: 50, leaseMs: 1000 }

/** Once something is appended, nothing else is done until the test is over. */
function dyingAfterAppend(store: Store, over: Promise<void>): Store {
  let isDead = false
  return new Proxy(store, {
    get: (target, name) => {
      const own: unknown = Reflect.get(target, name, target)
      if (typeof own !== 'function') return own
      return (...args: unknown[]) => {
        const call = () => (own as (...given: unknown[]) => unknown).apply(target, args)
        if (isDead) return over.then(call)
        isDead = name === 'append'
        return call()
      }
    },
  })
}

type Told = { status: string; inputRequests?: object }

class Parked implements AsyncDisposable {
  readonly #nodes: Awaited<ReturnType<typeof startNodes>>
  readonly #happened: Happenings
  readonly #client: Alone
  readonly #owner: string
  taskId = ''

  private constructor(nodes: Awaited<ReturnType<typeof startNodes>>, happened: Happenings, owner: string) {
    this.#nodes = nodes
    this.#happened = happened
    this.#client = new Alone(nodes)
    this.#owner = owner
  }

  /** `dies`: the second node stops right after it has left something for a call, as if it were killed. */
  static async begin(store: StoreKind, tool: 'asks' | 'sleeps', { dies = false } = {}): Promise<Parked> {
    const server = () => {
      const made = new McpServer({ name: 'tasks', version: '1' })
      const register = (name: string, work: (ctx: DurableContext) => Promise<unknown>) =>
        made.registerTool(
          name,
          { inputSchema: { text: z.string() } },
          durableTool({ task: 'always' }, async (_args, ctx) => {
            await work(ctx)
            return { content: [] }
          }),
        )
      register('asks', (ctx) => ask(ctx, 'name'))
      register('sleeps', (ctx) => ctx.sleep('nap', LONG_MS))
      taskTools(made)
      return made
    }
    const settings = { server, serverIdleMs: 50, validateEffects: false, ...QUICK }
    const happened = new Happenings()
    const wrap = (wrapped: Store, node: number) =>
      dies && node === 1 ? dyingAfterAppend(wrapped, happened.until('over')) : wrapped
    const nodes = await startNodes({ store, wrap, settings })
    const parked = new Parked(nodes, happened, tool === 'asks' ? NOBODY : ASLEEP)
    await using stream = await parked.#client.call(tool, { text: 'x' }, { meta, id: ID })
    parked.taskId = (
      (await stream.messages()).at(-1) as unknown as { result: { taskId: string } }
    ).result.taskId
    await waitFor(() => parked.isParked())
    return parked
  }

  /** Without a client that asks for it. */
  async isOpen() {
    return (await this.#nodes.stores[0]!.listOpenCalls(this.taskId)).length > 0
  }

  async isParked() {
    const [call] = await this.#nodes.stores[0]!.listOpenCalls(this.taskId)
    return call?.owner === this.#owner
  }

  async claims() {
    const entries = await this.#nodes.stores[0]!.read(this.taskId, `call:${this.taskId}`, BEGINNING, 1000)
    return (entries ?? []).filter(({ data }) => parseRecord(data).kind === 'claim').length
  }

  async get(): Promise<Told> {
    const { taskId } = this
    const response = await this.#client.request('tasks/get', { taskId }, { meta, node: 1 })
    return (await expectJson<{ result: Told }>(response)).result
  }

  update(more: object) {
    const { taskId } = this
    return this.#client.request('tasks/update', { taskId, ...more }, { meta, node: 1 })
  }

  cancel() {
    return this.#client.request('tasks/cancel', { taskId: this.taskId }, { meta, node: 1 })
  }

  async ask(tool: string) {
    await using stream = await this.#client.call(tool, { taskId: this.taskId }, { meta, node: 1 })
    return (await stream.messages()).at(-1)
  }

  /** As a node does that dies before it looks after the call. */
  leaveCancellation() {
    const item = encodeInboxItem({ kind: 'cancelled', requestKey: requestKeyPrefix(ID), reason: 'enough' })
    const options = { nonce: 'n', maxLength: 10, ifOpen: this.taskId }
    return this.#nodes.stores[1]!.append(this.taskId, `call:${this.taskId}:in`, item, options)
  }

  [Symbol.asyncDispose]() {
    this.#happened.add('over')
    return this.#nodes[Symbol.asyncDispose]()
  }
}

const CASES = STORES.flatMap((store) => (['asks', 'sleeps'] as const).map((tool) => [store, tool] as const))

test.each(STORES)('answers that are none are refused, and change nothing, %s', async (store) => {
  await using task = await Parked.begin(store, 'asks')
  for (const inputResponses of [undefined, null, [], 'Ann']) {
    const response = await task.update({ inputResponses })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { code: -32602 } })
  }
  expect(await task.get()).toMatchObject({ status: 'input_required' })
})

describe.each(CASES)('a parked task, %s, that %s', (store, tool) => {
  test('stays so, however often somebody looks', async () => {
    await using task = await Parked.begin(store, tool)
    for (let look = 0; look < LOOKS; look++) {
      expect((await task.get()).status).toBe(tool === 'asks' ? 'input_required' : 'working')
      await task.ask('task_status')
    }
    // Whatever they have begun is behind the end of this.
    await task.leaveCancellation()
    await waitFor(async () => (await task.get()).status === 'cancelled')
    expect(await task.claims()).toBe(1)
  })

  test('ends when a client cancels it with a tool', async () => {
    await using task = await Parked.begin(store, tool)
    await task.ask('task_cancel')
    await waitFor(async () => (await task.get()).status === 'cancelled')
  })

  test('goes on, although the node dies that has taken what a client left for it, and nobody asks again', async () => {
    await using task = await Parked.begin(store, tool, { dies: true })
    const inputResponses = { name: { action: 'accept', content: { name: 'Ann' } } }
    const left = tool === 'asks' ? task.update({ inputResponses }) : task.cancel()
    await waitFor(async () => !(await task.isOpen()))
    await left
  })

  test('ends when somebody looks, if the node has died that was to cancel it', async () => {
    await using task = await Parked.begin(store, tool)
    expect(await task.leaveCancellation()).toBeTruthy()
    expect(await task.isParked()).toBe(true)
    await waitFor(async () => (await task.get()).status === 'cancelled')
  })
})
