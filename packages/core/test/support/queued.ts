import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { expect } from 'vitest'
import { z } from 'zod'
import { durableTool } from '../../src/index.js'
import type { DurableContext, TaskMode } from '../../src/index.js'
import { META, TASKS } from '../../src/protocol.js'
import { isParked } from '../../src/store/index.js'
import { Alone } from './alone.js'
import type { AloneWhere } from './alone.js'
import { startNodes } from './nodes.js'
import type { Nodes, NodesOptions } from './nodes.js'
import { expectJson } from './session.js'
import { waitFor } from '../../../../test-support/index.js'

export type Work = (ctx: DurableContext, args: { text: string }) => Promise<string>
export type Quotas = NonNullable<NonNullable<NodesOptions['settings']>['quotas']>
export type Task = {
  resultType: string
  taskId: string
  status: string
  statusMessage?: string
  inputRequests?: Record<string, unknown>
  result?: { content: { text: string }[] }
}

const META_OF_TAKER = { [META.clientCapabilities]: { elicitation: {}, extensions: { [TASKS]: {} } } }

/** Nodes with a durable tool `work`, whose calls may be tasks. */
export function start(
  work: Work,
  quotas: Quotas,
  { settings, task = 'auto', ...options }: NodesOptions & { task?: TaskMode } = {},
) {
  const server = () => {
    const made = new McpServer({ name: 'queued', version: '1' })
    const handler = durableTool({ task }, async (args: { text: string }, ctx) => ({
      content: [{ type: 'text' as const, text: await work(ctx as DurableContext, args) }],
    }))
    made.registerTool('work', { inputSchema: { text: z.string() } }, handler)
    return made
  }
  return startNodes({
    ...options,
    settings: { server, validateEffects: false, sweepMs: 100, ...settings, quotas },
  })
}

/** A client that takes tasks. */
export class Taker {
  readonly #nodes: Nodes
  readonly #client: Alone

  constructor(nodes: Nodes) {
    this.#nodes = nodes
    this.#client = new Alone(nodes)
  }

  request(text: string, where: AloneWhere = {}) {
    const params = { name: 'work', arguments: { text } }
    return this.#client.request('tools/call', params, { meta: META_OF_TAKER, ...where })
  }

  async call(text: string, where: AloneWhere = {}): Promise<Task> {
    await using stream = await this.#client.call('work', { text }, { meta: META_OF_TAKER, ...where })
    return ((await stream.messages()).at(-1) as unknown as { result: Task }).result
  }

  about(method: string, taskId: string, more: object = {}, where: AloneWhere = {}) {
    return this.#client.request(`tasks/${method}`, { taskId, ...more }, { meta: META_OF_TAKER, ...where })
  }

  async get({ taskId }: Task, where: AloneWhere = {}) {
    return (await expectJson<{ result: Task }>(await this.about('get', taskId, {}, where))).result
  }

  async until(task: Task, status: string, where: AloneWhere = {}) {
    let seen = task
    await waitFor(async () => (seen = await this.get(task, where)).status === status)
    return seen
  }

  /** It waits for its turn, and no node owns it. */
  async untilQueued(task: Task) {
    await waitFor(
      async () => (await this.get(task)).statusMessage?.startsWith('Waiting for its turn') === true,
    )
  }

  async ownerOf({ taskId }: Task) {
    return (await this.#nodes.stores[0]!.listOpenCalls(taskId))[0]?.owner
  }

  async untilParked(task: Task) {
    await waitFor(async () => isParked((await this.ownerOf(task)) ?? 'ended'))
  }

  /** To its one question. */
  async answer({ taskId, inputRequests = {} }: Task, value: string, where: AloneWhere = {}) {
    const [key = ''] = Object.keys(inputRequests)
    const inputResponses = { [key]: { action: 'accept', content: { value } } }
    await expectJson(await this.about('update', taskId, { inputResponses }, where))
  }
}

/** A task that waits for its turn. */
export const QUEUED = {
  resultType: 'task',
  status: 'working',
  statusMessage: expect.stringMatching(/^Waiting for its turn/),
}
