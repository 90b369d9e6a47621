// A small server that uses every import of the packages, except the one for tests of stores: store.test.ts
import { createServer, type RequestListener } from 'node:http'
import { durable, durableTool, type Durable, type Store } from '@mcp-durable/core'
import { durableFetch } from '@mcp-durable/core/client'
import type { DurableContext } from '@mcp-durable/core/context'
import { StoreError } from '@mcp-durable/core/errors'
import { express } from '@mcp-durable/core/express'
import { hono } from '@mcp-durable/core/hono'
import { listCalls } from '@mcp-durable/core/inspect'
import { node } from '@mcp-durable/core/node'
import { runsOf } from '@mcp-durable/core/runs'
import { eventStore } from '@mcp-durable/core/sdk'
import { BEGINNING } from '@mcp-durable/core/store'
import { telemetry } from '@mcp-durable/core/telemetry'
import { crashTest } from '@mcp-durable/core/testing'
import type { Transfer } from '@mcp-durable/core/transfer'
import { redisStore } from '@mcp-durable/redis-store'
import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import { transferRedis } from '@mcp-durable/redis-store/transfer'
import { file } from '@mcp-durable/sqlite-store'
import { inspectSqlite, openReadOnly } from '@mcp-durable/sqlite-store/inspect'
import { openTarget, transferSqlite } from '@mcp-durable/sqlite-store/transfer'
import { getRequestListener } from '@hono/node-server'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import expressApp from 'express'
import { Hono } from 'hono'
import { Redis } from 'ioredis'
import { z } from 'zod'

const { PORT = '3000', REDIS_URL = '', ADAPTER = 'node', PREFIX = 'mcp' } = process.env

type Result = { content: { type: 'text'; text: string }[] }

const create = (item: string, ctx: Pick<DurableContext, 'atLeastOnce'>) =>
  ctx.atLeastOnce('create', () => `${item}, ordered by process ${process.pid}`)

const order = durableTool<{ item: string }, Result>(async ({ item }, ctx) => {
  const ordered = await create(item, ctx)
  await ctx.progress(1, 2, 'ordered')
  await ctx.sleep('pack', 2000)
  const receipt = await ctx.atMostOnce('charge', () => `charged by process ${process.pid}`)
  return { content: [{ type: 'text', text: `${ordered}, ${receipt}` }] }
})

function createMyServer() {
  const server = new McpServer({ name: 'my-server', version: '1.0.0' })
  server.registerTool('order', { description: 'Orders an item', inputSchema: { item: z.string() } }, order)
  return server
}

const store: Store =
  REDIS_URL === '' ? file('./mcp.db') : redisStore(new Redis(REDIS_URL), { prefix: PREFIX })
const mcp: Durable = durable({ server: createMyServer, store, telemetry: telemetry() })

const adapters: Record<string, () => RequestListener> = {
  node: () => node(mcp),
  express: () => {
    const app = expressApp()
    app.use('/mcp', express(mcp))
    return app
  },
  hono: () => {
    const app = new Hono()
    app.use('/mcp', hono(mcp))
    return getRequestListener(app.fetch) as RequestListener
  },
}

// What an operator, a test and an application before durable() use. Nothing of it is called here.
export const operate = async (redis: Redis, path: string) => {
  const calls = await listCalls(inspectRedis(redis), { most: 1 })
  const from: Transfer = transferRedis(redis)
  const to: Transfer = transferSqlite(openTarget(path))
  return [calls, inspectSqlite(openReadOnly(path)), from, to, runsOf(store, { by: 'me' }), BEGINNING]
}
export const before = () =>
  new StreamableHTTPServerTransport({
    sessionIdGenerator: () => 'of-another-server',
    eventStore: eventStore(store, 'of-another-server'),
  })
export const ask = (url: string) => durableFetch()(url)
export const report = () => crashTest(order, { item: 'tea' })
export const isAway = (error: unknown) => error instanceof StoreError && error.code === 'store-unavailable'

const http = createServer(adapters[ADAPTER]!())
http.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${PORT}/mcp, process ${process.pid}`)
})
process.once('SIGTERM', () => {
  http.close()
  void mcp.close()
})
