// One node whose tool sleeps for an hour between two steps: `node nap-node.js REDIS LEDGER`.

import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { durable, durableTool } from '@mcp-durable/core'
import { node } from '@mcp-durable/core/node'
import { redisStore } from '@mcp-durable/redis-store'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Redis } from 'ioredis'

const [url = '', ledger = ''] = process.argv.slice(2)
const effect = (what: string) => appendFileSync(ledger, `${what} ${process.pid}\n`)

const nap = durableTool(async (_args, ctx) => {
  await ctx.atLeastOnce('lie down', () => effect('lay'))
  await ctx.sleep('nap', 3_600_000)
  await ctx.atMostOnce('get up', () => effect('got up'))
  return { content: [] }
})

function makeServer() {
  const server = new McpServer({ name: 'naps', version: '1' })
  server.registerTool('nap', { inputSchema: {} }, nap)
  return server
}

const mcp = durable({ server: makeServer, store: redisStore(new Redis(url)) })
const http = createServer(node(mcp))
http.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(http.address() as AddressInfo).port}`)
})
