import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import { durableTool } from '../../src/index.js'
import type { DurableContext } from '../../src/index.js'

type Work = (ctx: DurableContext, args: { text: string }) => Promise<string>

/** A server with one durable tool, `work`, and more of them if there are any. */
export function durableServer(work: Work, more: Readonly<Record<string, Work>> = {}) {
  const server = new McpServer({ name: 'durable', version: '1' })
  for (const [name, each] of Object.entries({ work, ...more })) {
    server.registerTool(
      name,
      { inputSchema: { text: z.string() } },
      durableTool(async (args: { text: string }, ctx) => ({
        content: [{ type: 'text' as const, text: await each(ctx as DurableContext, args) }],
      })),
    )
  }
  return server
}
