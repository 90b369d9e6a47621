import { serve } from '@hono/node-server'
import { durable, durableTool } from '@mcp-durable/core'
import { hono } from '@mcp-durable/core/hono'
import { redisStore } from '@mcp-durable/redis-store'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Hono } from 'hono'
import { Redis } from 'ioredis'
import { z } from 'zod'

const { PORT = '3000', REDIS_URL = 'redis://127.0.0.1:6379' } = process.env

function createMyServer() {
  const server = new McpServer({ name: 'my-server', version: '1.0.0' })
  server.registerTool(
    'order',
    { description: 'Orders an item and charges for it', inputSchema: { item: z.string() } },
    durableTool(async ({ item }, ctx) => {
      const order = await ctx.atLeastOnce('create', () => `${item}, ordered by process ${process.pid}`)
      await ctx.progress(1, 2, 'ordered')
      await ctx.sleep('pack', 5000)
      const receipt = await ctx.atMostOnce('charge', () => `charged by process ${process.pid}`)
      return { content: [{ type: 'text', text: `${order}, ${receipt}` }] }
    }),
  )
  return server
}

const mcp = durable({ server: createMyServer, store: redisStore(new Redis(REDIS_URL)) })
const app = new Hono()
app.use('/mcp', hono(mcp)) // or express(mcp), node(mcp), mcp.fetch(request)

const http = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(PORT) }, ({ port }) => {
  console.log(`listening on http://127.0.0.1:${port}/mcp`)
})
process.once('SIGTERM', () => {
  http.close()
  void mcp.close().then(() => process.exit())
})
