import { serve } from '@hono/node-server'
import { durable, durableTool } from '@mcp-durable/core'
import { hono } from '@mcp-durable/core/hono'
import { redisStore } from '@mcp-durable/redis-store'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Hono } from 'hono'
import { Redis } from 'ioredis'
import { z } from 'zod'

const { PORT = '3000', REDIS_URL = 'redis://127.0.0.1:6379' } = process.env

// Called for each session, in each process that serves it.
function createMyServer() {
  const server = new McpServer({ name: 'my-server', version: '1.0.0' })
  server.registerTool(
    'order',
    { description: 'Orders an item and charges for it', inputSchema: { item: z.string() } },
    durableTool(async ({ item }, ctx) => {
      // A step: what it returns is recorded, and it does not run again.
      const order = await ctx.atLeastOnce('create', () => `${item}, ordered by process ${process.pid}`)
      await ctx.progress(1, 2, 'ordered')
      await ctx.sleep('pack', 10_000)
      const receipt = await ctx.atMostOnce('charge', () => `charged by process ${process.pid}`)
      return { content: [{ type: 'text', text: `${order}, ${receipt}` }] }
    }),
  )
  return server
}

const redis = new Redis(REDIS_URL)
const mcp = durable({
  server: createMyServer,
  store: redisStore(redis),
  retryMs: 2000, // ms after which a client comes back: a process that was killed runs again by then
})
const app = new Hono()
app.use('/mcp', hono(mcp)) // or express(mcp), node(mcp), mcp.fetch(request)

const http = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(PORT) }, ({ port }) => {
  console.log(`listening on http://127.0.0.1:${port}/mcp, process ${process.pid}`)
})

// At a deploy: hand the running calls over to other processes, and go.
process.once('SIGTERM', () => void leave())

async function leave() {
  http.close()
  await mcp.close()
  await redis.quit() // The client is yours. While it is open, the process does not end.
}
