import { once } from 'node:events'
import { createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import type expressNow from 'express'
import { Hono } from 'hono-oldest'
import { createAdaptorServer } from 'node-server-oldest'
import { McpServer as McpServerV1 } from 'sdk-oldest/server/mcp.js'
import { McpServer as McpServerV2 } from 'server-oldest'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { z as z3 } from 'zod/v3'
import { express } from '../src/adapters/express.js'
import { hono } from '../src/adapters/hono.js'
import { durable, durableTool } from '../src/index.js'
import type { Durable, ServerFactory } from '../src/index.js'
import { telemetry } from '../src/telemetry/index.js'
import type { Nodes } from './support/nodes.js'
import type { Endpoint } from './support/serve.js'
import { Session, textOf } from './support/session.js'
import { openStorage, STORES } from './support/stores.js'
import { World } from './support/world.js'

// The lowest version of every range that packages/core accepts; `ioredis` is tested in packages/redis-store.
vi.mock('zod', () => import('zod-oldest'))
vi.mock('@hono/node-server', () => import('node-server-oldest'))
vi.mock('@hono/node-server/utils/response', () => import('node-server-oldest/utils/response'))
vi.mock('eventsource-parser', () => import('eventsource-parser-oldest'))
vi.mock('@opentelemetry/api', () => import('opentelemetry-oldest'))
const expressOldest = createRequire(import.meta.url)('express-oldest') as typeof expressNow

const INFO = { name: 'oldest', version: '1' }
const work = (world: World, node: string) =>
  durableTool(async ({ gate }: { gate: string }, ctx) => {
    const begun = await ctx.atLeastOnce('begin', () => node)
    await ctx.progress(1, 2)
    world.happened.add(`waits on ${node}`)
    await world.gates.pass(gate, ctx.signal)
    return { content: [{ type: 'text' as const, text: `begun on ${begun}, ended on ${node}` }] }
  })

const SDKS: [name: string, factoryOf: (world: World, node: string) => ServerFactory][] = [
  [
    '@modelcontextprotocol/sdk 1.20',
    (world, node) => () => {
      const server = new McpServerV1(INFO)
      server.registerTool('work', { inputSchema: { gate: z3.string() } as never }, work(world, node) as never)
      return server
    },
  ],
  [
    '@modelcontextprotocol/server 2.0',
    (world, node) => () => {
      const server = new McpServerV2(INFO)
      server.registerTool('work', { inputSchema: z.object({ gate: z.string() }) }, work(world, node))
      return server
    },
  ],
]

const MOUNTS = {
  'Express 4.16': (mcp: Durable) => {
    const app = expressOldest()
    app.use(expressOldest.urlencoded({ extended: true }))
    app.use('/mcp', express(mcp))
    return createServer(app as unknown as RequestListener)
  },
  'Hono 4.11': (mcp: Durable) => {
    const app = new Hono()
    app.use('/mcp', hono(mcp) as never)
    return createAdaptorServer({ fetch: app.fetch }) as Server
  },
}

async function listen(server: Server): Promise<Endpoint> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
  return {
    url,
    server,
    fetch: (init) => fetch(url, init),
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

const quiet = {
  error: vi.fn<(fields: object, message: string) => void>(),
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
}

describe.each(SDKS)('%s', (_sdk, factoryOf) => {
  test.each(STORES)('a call is resumed and taken over, %s', async (store) => {
    const world = new World()
    await using storage = openStorage(store)
    const mcps = [0, 1].map((index) =>
      durable({
        store: storage.forNode(),
        server: factoryOf(world, `node-${index}`),
        telemetry: telemetry(),
        logger: quiet,
      }),
    )
    await using express4 = await listen(MOUNTS['Express 4.16'](mcps[0]!))
    await using hono4 = await listen(MOUNTS['Hono 4.11'](mcps[1]!))
    const nodes = { endpoint: (node: number) => [express4, hono4][node]! } as unknown as Nodes
    const session = await Session.begin(nodes)
    const left = new AbortController()
    const call = await session.call('work', { gate: 'g' }, { token: 1, signal: left.signal })
    // Servers of 1.20 speak no protocol with priming events: the first one is the progress.
    const first = await call.next()
    await world.happened.until('waits on node-0')
    left.abort()
    await mcps[0]!.close({ graceMs: 0 })
    await world.happened.until('waits on node-1')
    await using resumed = await session.stream(first?.id, { node: 1 })
    world.gates.open('g')
    const messages = await resumed.messages()
    expect(textOf(messages.at(-1))).toBe('begun on node-0, ended on node-1')
    expect(messages).toHaveLength(first?.data === '' ? 2 : 1)
    expect(quiet.error).not.toHaveBeenCalled()
    await mcps[1]!.close({ graceMs: 0 })
  })
})
