import { durableTool } from '@mcp-durable/core'
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'

/** On a node that is about to be killed, a tool that does not end; on the others it ends at once. */
export const hanging = { wanted: false, now: 0 }

export function registerHanging(server: McpServer) {
  server.registerTool(
    'hang',
    { description: 'Does not end where it should not', inputSchema: {} },
    durableTool(async (_args, ctx) => {
      const pid = await ctx.atLeastOnce('work', () => (hanging.wanted ? forever() : process.pid))
      return { content: [{ type: 'text', text: `done by ${pid}` }] }
    }),
  )
}

function forever(): Promise<number> {
  hanging.now++
  return new Promise(() => undefined)
}
