import { durableTool } from '@mcp-durable/core'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'

export function createMyServer() {
  const server = new McpServer({ name: 'my-server', version: '1.0.0' })
  server.registerTool(
    'order',
    { description: 'Orders an item and charges for it', inputSchema: { item: z.string() } },
    durableTool(async ({ item }, ctx) => {
      const order = await ctx.atLeastOnce('create', () => `${item}, ordered by process ${process.pid}`)
      await ctx.progress(1, 2, 'ordered')
      await ctx.sleep('pack', 2000)
      const receipt = await ctx.atMostOnce('charge', () => `charged by process ${process.pid}`)
      return { content: [{ type: 'text', text: `${order}, ${receipt}` }] }
    }),
  )
  return server
}
