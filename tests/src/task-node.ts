// One node whose tool works in steps that a test lets go on, as a task: `node task-node.js REDIS PREFIX LEDGER [OPTIONS]`.

import { appendFileSync, existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { durable, durableTool, taskTools } from '@mcp-durable/core'
import type { CommonOptions, DurableContext } from '@mcp-durable/core'
import { node } from '@mcp-durable/core/node'
import { redisStore } from '@mcp-durable/redis-store'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Redis } from 'ioredis'
import { z } from 'zod'

const [url = '', prefix = '', ledger = '', options = '{}'] = process.argv.slice(2)
const LOOK_MS = 10

/** An effect in the world: one line, written at once. */
const effect = (id: string, step: string) => appendFileSync(ledger, `${id} ${step}\n`)

/** Waits for a file beside the ledger. */
async function passGate(gate: string, signal: AbortSignal) {
  while (!existsSync(`${ledger}-${gate}`)) await sleep(LOOK_MS, undefined, { signal })
}

const inputSchema = { id: z.string(), asks: z.boolean().default(false) }
const requestedSchema = {
  type: 'object' as const,
  properties: { answer: { type: 'string' as const } },
  required: ['answer'],
}

async function work({ id, asks }: { id: string; asks: boolean }, ctx: DurableContext) {
  await ctx.atLeastOnce('make', () => effect(id, 'make'))
  await ctx.progress(1, 3, 'made')
  const { content } = asks ? await ctx.elicit('ask', { message: `${id}?`, requestedSchema }) : {}
  // No step: it is waited for in each run.
  await passGate(id, ctx.signal)
  await ctx.atMostOnce('pay', () => effect(id, 'pay'))
  await ctx.progress(2, 3, 'paid')
  await ctx.atLeastOnce('tell', () => effect(id, 'tell'))
  return { content: [{ type: 'text' as const, text: `${id} ${String(content?.['answer'])}` }] }
}

function makeServer() {
  const server = new McpServer({ name: 'tasks', version: '1' })
  for (const task of ['always', 'auto'] as const)
    server.registerTool(
      task,
      { inputSchema },
      durableTool({ task }, (args, ctx) => work(args, ctx as DurableContext)),
    )
  taskTools(server)
  return server
}

const redis = new Redis(url)
const mcp = durable({
  principal: (request) => request.headers.get('x-user') ?? undefined,
  heartbeatMs: 100,
  sweepMs: 100,
  leaseMs: 2000,
  retryMs: 20,
  ...(JSON.parse(options) as Partial<CommonOptions>),
  server: makeServer,
  store: redisStore(redis, { prefix }),
})
const http = createServer(node(mcp))
http.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(http.address() as AddressInfo).port}`)
})

process.once('SIGTERM', () => {
  http.close()
  void mcp.close({ graceMs: 100 }).then(() => redis.disconnect())
})
