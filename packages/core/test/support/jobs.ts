import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { McpServer as McpServerV2 } from '@modelcontextprotocol/server'
import { z } from 'zod'
import { durableTool, taskTools } from '../../src/index.js'
import type { DurableContext, TaskMode } from '../../src/index.js'
import { META } from '../../src/protocol.js'
import type { ServerObject } from '../../src/sdk.js'
import { Alone } from './alone.js'
import { startNodes } from './nodes.js'
import type { Nodes, NodesOptions } from './nodes.js'
import { Session } from './session.js'

export type Result = {
  resultType?: string
  content: { text: string }[]
  isError?: boolean
  structuredContent?: { taskId: string; status: string; statusMessage?: string; tool?: string; ttlMs: number }
}
export type Work = (ctx: DurableContext) => Promise<string>
export type JobOptions = NodesOptions & { work: Work; task?: TaskMode; described?: boolean; tools?: boolean }
/** A client that knows no tasks, and calls tools. */
export type Calls = (tool: string, args?: Record<string, unknown>, node?: number) => Promise<Result>

export const ERAS = ['2025-11-25', '2026-07-28'] as const
export const ASKABLE = { [META.clientCapabilities]: { elicitation: {} } }

/** Nodes whose tool `work` takes long, with tools for its tasks. `described`: it declares what it returns. */
export function startJobs({ work, task = 'always', described, tools = true, ...options }: JobOptions) {
  const { settings, sdk, ...rest } = options
  const server = (): ServerObject => {
    const about = { name: 'tasks', version: '1' }
    const made = sdk === 'v2' ? new McpServerV2(about) : new McpServer(about)
    const handler = durableTool({ task }, async (_args: { text: string }, ctx) => {
      const text = await work(ctx)
      return { content: [{ type: 'text' as const, text }], ...(described && { structuredContent: { text } }) }
    })
    const schema = z.object({ text: z.string().optional() })
    const config = { inputSchema: schema, ...(described && { outputSchema: schema }) }
    const { registerTool } = made as McpServer
    registerTool.call(made as McpServer, 'work', config as never, handler as never)
    const plain = () => ({ content: [{ type: 'text', text: 'plain' }] })
    registerTool.call(made as McpServer, 'plain', {}, plain as never)
    if (tools) taskTools(made)
    return made
  }
  return startNodes({ ...rest, settings: { server, validateEffects: false, ...settings } })
}

export const resultOf = (message: unknown) => (message as { result: Result }).result
export const textIn = ({ content }: Result) => content[0]?.text ?? ''

export async function clientOf(nodes: Nodes, era: string, who?: string, node = 0): Promise<Calls> {
  if (era === '2026-07-28') {
    const alone = new Alone(nodes)
    return async (tool, args = {}, at = node) => {
      const where = { node: at, meta: ASKABLE, ...(who !== undefined && { who }) }
      await using stream = await alone.call(tool, args, where)
      return resultOf((await stream.messages()).at(-1))
    }
  }
  const session = await Session.begin(nodes, { node, ...(who !== undefined && { who }) })
  return callsIn(session, node)
}

export const callsIn =
  (session: Session, node = 0): Calls =>
  async (tool, args = {}, at = node) => {
    await using stream = await session.call(tool, args, { node: at })
    return resultOf((await stream.messages()).at(-1))
  }
