// One process with two servers on one store, without names: /shop and /admin. Prints `listening on URL`.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { durable, durableTool } from '@mcp-durable/core'
import { node } from '@mcp-durable/core/node'
import { redisStore } from '@mcp-durable/redis-store'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Redis } from 'ioredis'

const [redis = '', prefix = ''] = process.argv.slice(2)
const store = redisStore(new Redis(redis), { prefix })

/** Each has a tool that the other one lacks, and one of the same name. */
function serve(name: string) {
  const wait = durableTool(async (_args: unknown, ctx) => {
    await ctx.atLeastOnce('begin', () => process.pid)
    await ctx.sleep('wait', 1500)
    return { content: [{ type: 'text' as const, text: `done by ${name}` }] }
  })
  const server = () => {
    const mcp = new McpServer({ name, version: '1' })
    for (const tool of ['work', `work of ${name}`]) mcp.registerTool(tool, {}, wait)
    return mcp
  }
  return node(durable({ store, server, validateEffects: false, retryMs: 20 }))
}

const [shop, admin] = [serve('shop'), serve('admin')]
const http = createServer((request, response) => (request.url === '/shop' ? shop : admin)(request, response))
http.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(http.address() as AddressInfo).port}`)
})
