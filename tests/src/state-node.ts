// One node whose tools change the state of their caller and of a handle. It dies (SIGKILL) at one of the operations of the
// store that this takes: `node state-node.js REDIS PREFIX [NUMBER sent|after]`.

import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { durable, durableTool, type DurableContext, type Store } from '@mcp-durable/core'
import { node } from '@mcp-durable/core/node'
import { redisStore } from '@mcp-durable/redis-store'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Redis } from 'ioredis'
import { z } from 'zod'

const [url = '', prefix = '', number = '0', moment = 'after'] = process.argv.slice(2)
const COUNTED = [
  'readValue',
  'writeValue',
  'beginScope',
  'useScope',
  'appendQuietly',
  'appendCall',
] as const satisfies (keyof Store)[]

/** What the tool has asked of the store so far. */
const operations: string[] = []
let isRunning = false

/** The client knows its call by now. */
let isPrimed: () => void = () => undefined
const primed = new Promise<void>((resolve) => (isPrimed = resolve))

const die = () => process.kill(process.pid, 'SIGKILL')
const redis = new Redis(url)
const store = new Proxy(redisStore(redis, { prefix }), {
  get: (target, name: keyof Store) => {
    const operation = (target[name] as (...args: unknown[]) => Promise<unknown>).bind(target)
    if (!COUNTED.some((counted) => counted === name)) return operation
    return async (...args: unknown[]) => {
      if (isRunning) operations.push(name)
      const isDue = isRunning && operations.length === Number(number)
      const outcome = operation(...args)
      // It is on its way, and nobody will hear what becomes of it.
      if (isDue && moment === 'sent') setImmediate(die)
      const settled = await outcome
      if (isDue) die()
      return settled
    }
  },
})

const Count = z.number()
const count = (ctx: Pick<DurableContext, 'state'>) => ctx.state.of('n', { schema: Count })
const text = (value: unknown) => ({ content: [{ type: 'text' as const, text: JSON.stringify(value) }] })

function makeServer() {
  const server = new McpServer({ name: 'state', version: '1' })
  server.registerTool(
    'change',
    {},
    durableTool(async (_args: unknown, ctx: DurableContext) => {
      if (ctx.attempt === 1) await primed
      isRunning = true
      const own = await count(ctx).update((n = 0) => n + 1)
      const { id } = await ctx.handle.create('handle', { ttlMs: 60_000 })
      const shared = await count(await ctx.handle.open(id)).update((n = 0) => n + 1)
      return text({ own, shared, id, operations })
    }),
  )
  server.registerTool(
    'look',
    { inputSchema: { id: z.string() } },
    durableTool(async ({ id }: { id: string }, ctx) =>
      text({
        own: await (ctx as DurableContext).state.of('n').get(),
        shared: await (await (ctx as DurableContext).handle.open(id)).state.of('n').get(),
      }),
    ),
  )
  return server
}

const mcp = durable({
  server: makeServer,
  store,
  eras: ['2025-11-25', '2026-07-28'],
  principal: (request) => request.headers.get('x-user') ?? undefined,
  heartbeatMs: 50,
  sweepMs: 50,
  leaseMs: 2000,
})
const serveMcp = node(mcp)
const http = createServer((request: IncomingMessage, response) => {
  if (request.url !== '/primed') return serveMcp(request, response)
  isPrimed()
  response.end()
})
http.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(http.address() as AddressInfo).port}`)
})
