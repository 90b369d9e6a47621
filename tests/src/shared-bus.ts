// A process that serves the SDK's own handler for requests without sessions at /mcp, with an event bus on Redis. POST /changed
// tells of a change. Prints `listening on URL`.

import type { AddressInfo } from 'node:net'
import { serverEventBus } from '@mcp-durable/core/sdk'
import { redisStore } from '@mcp-durable/redis-store'
import { serve } from '@hono/node-server'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { Redis } from 'ioredis'

const [redis = '', prefix = ''] = process.argv.slice(2)
const bus = serverEventBus(redisStore(new Redis(redis), { prefix }))

function makeServer() {
  const server = new McpServer(
    { name: 'shared', version: '1' },
    { capabilities: { resources: { subscribe: true } } },
  )
  server.registerTool('tool', {}, async () => ({ content: [] }))
  return server
}

const handler = createMcpHandler(makeServer, { bus })

async function fetch(request: Request): Promise<Response> {
  if (new URL(request.url).pathname === '/mcp') return handler.fetch(request)
  handler.notify.toolsChanged()
  handler.notify.resourceUpdated('test://r')
  return new Response()
}

const http = serve({ fetch, port: 0, hostname: '127.0.0.1' }, () => {
  console.log(`listening on http://127.0.0.1:${(http.address() as AddressInfo).port}`)
})
