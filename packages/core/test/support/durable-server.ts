import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import { durableTool } from '../../src/index.js'
import type { DurableContext } from '../../src/index.js'

/** A server with one durable tool, `work`. */
export function durableServer(work: (ctx: DurableContext, args: { text: string }) => Promise<string>) {
  const server = new McpServer({ name: 'durable', version: '1' })
  server.registerTool(
    'work',
    { inputSchema: { text: z.string() } },
    durableTool(async (args: { text: string }, ctx) => ({
      content: [{ type: 'text' as const, text: await work(ctx as DurableContext, args) }],
    })),
  )
  return server
}
