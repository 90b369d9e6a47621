import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { expect } from 'vitest'
import { z } from 'zod'
import { durableTool } from '../../src/index.js'
import type { DurableContext, TaskMode } from '../../src/index.js'
import { isParked } from '../../src/store/index.js'
import type { AloneWhere } from './alone.js'
import { startNodes } from './nodes.js'
import type { Nodes, NodesOptions } from './nodes.js'
import { expectJson } from './session.js'
import { TAKES_TASKS, Taker } from './taker.js'
import type { Task } from './taker.js'
import { waitFor } from '../../../../test-support/index.js'

export type Work = (ctx: DurableContext, args: { text: string }) => Promise<string>
type Quotas = NonNullable<NonNullable<NodesOptions['settings']>['quotas']>

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

/** A client that takes tasks, which may wait. */
export class QueuedTaker extends Taker {
  readonly #nodes: Nodes

  constructor(nodes: Nodes) {
    super(nodes)
    this.#nodes = nodes
  }

  request(text: string, where: AloneWhere = {}) {
    const params = { name: 'work', arguments: { text } }
    return this.client.request('tools/call', params, { meta: TAKES_TASKS, ...where })
  }

  begin(text: string, where: AloneWhere = {}) {
    return this.call({ args: { text }, ...where })
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
