import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { createAdaptorServer } from '@hono/node-server'
import { durable } from '@mcp-durable/core'
import { hono } from '@mcp-durable/core/hono'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Hono } from 'hono'
import { z } from 'zod'
import { closeOnSignal, fail, messageOf, portFlag, readFlags, serverOptions, serverUsage } from './cli.js'
import { listen, type HttpServer } from './listen.js'
import { openStore } from './store.js'

const usage = `usage: node dist/single-node.js [--serve] [--port N] [--host HOST] [--redis URL | --file FILE]

A server with two tools, made durable. Without --serve it starts on a free port, calls itself with the official
client, and exits with 0 if all was as it should be.

  --serve       stay, and serve at /mcp
${serverUsage}`

const { values } = readFlags(usage, {
  options: { ...serverOptions, serve: { type: 'boolean', default: false } },
})
const port = values.serve ? portFlag('port', values.port, usage) : 0

function createServer(): McpServer {
  const server = new McpServer({ name: 'single-node', version: '1.0.0' })
  server.registerTool(
    'add',
    { description: 'Adds two numbers', inputSchema: { a: z.number(), b: z.number() } },
    ({ a, b }) => ({ content: [{ type: 'text', text: String(a + b) }] }),
  )
  server.registerTool(
    'count_down',
    {
      description: 'Counts down to zero, and reports its progress',
      inputSchema: { from: z.number().int().min(1).max(100) },
      annotations: { idempotentHint: true },
    },
    async ({ from }, { _meta, sendNotification, signal }) => {
      const progressToken = _meta?.progressToken
      for (let progress = 1; progress <= from; progress++) {
        await delay(20, undefined, { signal })
        if (progressToken === undefined) continue
        const params = { progressToken, progress, total: from }
        await sendNotification({ method: 'notifications/progress', params })
      }
      return { content: [{ type: 'text', text: 'lift-off' }] }
    },
  )
  return server
}

try {
  const opened = await openStore(values, usage)
  const mcp = durable({ server: createServer, ...(opened.store && { store: opened.store }) })
  const app = new Hono()
  app.use('/mcp', hono(mcp))
  const server = await listen(createAdaptorServer({ fetch: app.fetch }) as HttpServer, values.host, port)
  const close = async (): Promise<void> => {
    await server.close(() => mcp.close({ graceMs: 2000 }))
    await opened[Symbol.asyncDispose]()
  }
  if (values.serve) {
    closeOnSignal(close)
    console.log(`listening on ${server.url}`)
  } else {
    try {
      await check(new URL('/mcp', server.url))
    } finally {
      await close()
    }
    console.log('single-node: all as it should be')
  }
} catch (error) {
  fail(messageOf(error))
}

async function check(url: URL): Promise<void> {
  const client = new Client({ name: 'single-node-check', version: '1.0.0' })
  const transport = new StreamableHTTPClientTransport(url)
  await client.connect(transport)

  const { tools } = await client.listTools()
  assert.deepEqual(
    tools.map(({ name }) => name),
    ['add', 'count_down'],
  )

  const sum = await client.callTool({ name: 'add', arguments: { a: 19, b: 23 } })
  assert.deepEqual(sum.content, [{ type: 'text', text: '42' }])

  const progress: number[] = []
  const down = await client.callTool({ name: 'count_down', arguments: { from: 5 } }, undefined, {
    onprogress: (step) => progress.push(step.progress),
  })
  assert.deepEqual(down.content, [{ type: 'text', text: 'lift-off' }])
  assert.deepEqual(progress, [1, 2, 3, 4, 5])

  await transport.terminateSession()
  await client.close()
}
