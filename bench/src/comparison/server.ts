// One server of the comparison, with the same three tools as all: `node server.js KIND PORT PLACE LEDGER`. `PLACE`: the URL of Redis,
// or a file. Prints `listening on URL`.

import { serve } from '@hono/node-server'
import { durable, durableTool } from '@mcp-durable/core'
import type { Durable, Store } from '@mcp-durable/core'
import { hono } from '@mcp-durable/core/hono'
import { redisStore } from '@mcp-durable/redis-store'
import { file } from '@mcp-durable/sqlite-store'
import { InMemoryEventStore } from '@modelcontextprotocol/sdk/examples/shared/inMemoryEventStore.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import { createMcpHandler, McpServer as McpServer2 } from '@modelcontextprotocol/server'
import { Hono } from 'hono'
import { Redis } from 'ioredis'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { bySession } from '../contestant/mounts.js'
import { charge } from './effects.js'

const [kind = '', port = '', place = '', ledger = ''] = process.argv.slice(2)

const info = { name: 'comparison', version: '1.0.0' }
const addInput = { a: z.number(), b: z.number() }
const progressInput = { count: z.number(), everyMs: z.number() }
const chargeInput = { steps: z.number(), delayMs: z.number() }
const answer = (value: number) => ({ content: [{ type: 'text' as const, text: String(value) }] })

/** Of the SDK 1.x, with what does not differ from one server to the next. */
function serverWithAdd(): McpServer {
  const server = new McpServer(info)
  server.registerTool('add', { inputSchema: addInput }, ({ a, b }) => answer(a + b))
  server.registerTool('progress', { inputSchema: progressInput }, async ({ count, everyMs }, extra) => {
    const progressToken = extra._meta?.progressToken ?? 0
    for (let progress = 1; progress <= count; progress++) {
      const params = { progressToken, progress, total: count }
      await extra.sendNotification({ method: 'notifications/progress', params })
      await sleep(everyMs)
    }
    return answer(count)
  })
  return server
}

function plainServer(): McpServer {
  const server = serverWithAdd()
  server.registerTool('charge', { inputSchema: chargeInput }, async ({ steps, delayMs }, extra) => {
    const progressToken = extra._meta?.progressToken ?? 0
    for (let progress = 1; progress <= steps; progress++) {
      await charge(ledger, progress, delayMs)
      const params = { progressToken, progress, total: steps }
      await extra.sendNotification({ method: 'notifications/progress', params })
    }
    return answer(steps)
  })
  return server
}

function durableServer(): McpServer {
  const server = serverWithAdd()
  server.registerTool(
    'charge',
    { inputSchema: chargeInput },
    durableTool(async ({ steps, delayMs }, ctx) => {
      for (let step = 1; step <= steps; step++) {
        await ctx.atLeastOnce(`charge-${step}`, () => charge(ledger, step, delayMs))
        await ctx.progress(step, steps)
      }
      return answer(steps)
    }),
  )
  return server
}

function plainServer2(): McpServer2 {
  const server = new McpServer2(info)
  server.registerTool('add', { inputSchema: z.object(addInput) }, ({ a, b }) => answer(a + b))
  server.registerTool('charge', { inputSchema: z.object(chargeInput) }, async ({ steps, delayMs }) => {
    for (let step = 1; step <= steps; step++) await charge(ledger, step, delayMs)
    return answer(steps)
  })
  return server
}

type Mounted = { app: Hono; close: () => Promise<void> }
/** Shorter than the time after which a process is killed that was told to end. */
const GRACE_MS = 1500
const nothing = () => Promise.resolve()

function mounted(): Mounted {
  const app = new Hono()
  switch (kind) {
    case 'durable-redis': {
      const redis = new Redis(place)
      return durably(app, redisStore(redis), () => redis.disconnect())
    }
    case 'durable-file':
      return durably(app, file(place))
    case 'sdk-1': {
      const session = bySession(async (events) => {
        const eventStore = new InMemoryEventStore()
        const transport = new WebStandardStreamableHTTPServerTransport({ ...events, eventStore })
        await plainServer().connect(transport)
        return (c) => transport.handleRequest(c.req.raw)
      })
      app.all('/mcp', session)
      return { app, close: nothing }
    }
    case 'sdk-2': {
      const handler = createMcpHandler(plainServer2)
      app.all('/mcp', (c) => handler.fetch(c.req.raw))
      return { app, close: nothing }
    }
    default:
      throw new Error(`there is no server '${kind}'`)
  }
}

function durably(app: Hono, store: Store, after: () => void = () => undefined): Mounted {
  const mcp: Durable = durable({ server: durableServer, store })
  app.use('/mcp', hono(mcp))
  return { app, close: () => mcp.close({ graceMs: GRACE_MS }).then(after) }
}

const { app, close } = mounted()
const server = serve({ fetch: app.fetch, port: Number(port), hostname: '127.0.0.1' }, (address) => {
  console.log(`listening on http://127.0.0.1:${address.port}`)
})

// As in production: what runs may end, and nothing new comes in.
process.once('SIGTERM', () => {
  const closed = new Promise((resolve) => server.close(resolve))
  void Promise.all([closed, close()]).then(() => process.exit(0))
})
