import { durableTool } from '@mcp-durable/core'
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'

/** How long after their times the calls went on that were woken here, in ms. */
const lateness: number[] = []

/** A task that sleeps until a time (ms since 1970), and notes how late it was woken. */
export function registerNapping(server: McpServer) {
  server.registerTool(
    'nap',
    { description: 'Sleeps until a time', inputSchema: { until: z.number() } },
    durableTool({ task: 'always' }, async ({ until }, ctx) => {
      await ctx.sleep('nap', Math.max(0, until - Date.now()))
      lateness.push(Date.now() - until)
      return { content: [] }
    }),
  )
}

/** How late each call was that was woken here. */
export const woken = (): readonly number[] => lateness
