import { createServer } from 'node:http'
import { durable, durableTool } from '@mcp-durable/core'
import { node } from '@mcp-durable/core/node'
import { file } from '@mcp-durable/sqlite-store'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'

const { PORT = '3000' } = process.env

// Called where a process needs a server object: for a session, or for clients without one.
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

// Sessions, calls and their steps are in this file.
const mcp = durable({ server: createMyServer, store: file('./mcp.db') })

const http = createServer(node(mcp)) // or app.use('/mcp', hono(mcp)), app.use('/mcp', express(mcp))
http.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${PORT}/mcp, process ${process.pid}`)
})

// At a deploy: let the running calls end, leave the others to the next process, and go.
process.once('SIGTERM', () => {
  http.close()
  void mcp.close()
})
