// The code of the README and of docs/, as it compiles. A test compares them.
import { createServer, type Server } from 'node:http'
import { durable, durableTool, sealedStore } from '@mcp-durable/core'
import type { AuthInfo, Durable, FetchHandler, Hooks, Logger, Store } from '@mcp-durable/core'
import { connect, reconnect, durableFetch } from '@mcp-durable/core/client'
import { express, fromNode } from '@mcp-durable/core/express'
import { hono } from '@mcp-durable/core/hono'
import { node } from '@mcp-durable/core/node'
import { telemetry } from '@mcp-durable/core/telemetry'
import { redisStore } from '@mcp-durable/redis-store'
import { file } from '@mcp-durable/sqlite-store'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { Express } from 'express'
import type { Hono } from 'hono'
import { Redis } from 'ioredis'
import { z } from 'zod'

type Shop = {
  create: (item: string, key: string) => Promise<string>
  charge: (order: string) => Promise<string>
}

export function createShop({ create, charge }: Shop) {
  const server = new McpServer({ name: 'shop', version: '1.0.0' })
  server.registerTool(
    'order',
    { inputSchema: { item: z.string() } },
    durableTool(async ({ item }, ctx) => {
      const order = await ctx.atLeastOnce('create', ({ idempotencyKey }) => create(item, idempotencyKey))
      const receipt = await ctx.atMostOnce('charge', () => charge(order))
      return { content: [{ type: 'text', text: receipt }] }
    }),
  )
  return server
}

export function mountInHono(app: Hono, url: string, createMyServer: () => McpServer) {
  const mcp = durable({ server: () => createMyServer(), store: redisStore(new Redis(url)) })

  app.use('/mcp', hono(mcp)) // or express(mcp), node(mcp), mcp.fetch(request)
  return mcp
}

export function keepInAFile(app: Hono, createMyServer: () => McpServer) {
  const mcp = durable({ server: () => createMyServer(), store: file('./mcp.db') })

  app.use('/mcp', hono(mcp)) // or express(mcp), node(mcp), mcp.fetch(request)
  return mcp
}

export function sealWhatIsStored(url: string, createMyServer: () => McpServer) {
  const keys = [process.env['SEAL_KEY'] ?? '']
  const store = sealedStore(redisStore(new Redis(url)), { keys })
  const mcp = durable({ server: () => createMyServer(), store })
  return mcp
}

export async function forgetInBackups(url: string, urlOfSecrets: string, keys: string[]) {
  const secrets = redisStore(new Redis(urlOfSecrets))
  const sealed = sealedStore(redisStore(new Redis(url)), { keys, secrets })
  await sealed.forget({ principal: 'ann' })
}

export function leaveGracefully(http: Server, mcp: Durable, redis: Redis) {
  process.once('SIGTERM', () => void leave())

  async function leave() {
    http.close()
    await mcp.close()
    await redis.quit() // The client is yours. While it is open, the process does not end.
  }
}

export function wrapInHono(app: Hono, store: Store, existing: { fetch: FetchHandler }) {
  app.use('/mcp', hono(durable({ store, handler: existing.fetch }))) // any (Request) => Response: a Map in Hono, @hono/mcp
}

export function wrapInExpress(app: Express, store: Store, existing: Express) {
  app.all('/mcp', express(durable({ store, handler: fromNode(existing) }))) // an Express application, or any (req, res)
}

export function standBefore(store: Store) {
  const mcp = durable({ store, upstream: 'http://localhost:4000/mcp' }) // a server in any language
  return mcp
}

export function serveStdio(store: Store) {
  const mcp = durable({
    store,
    stdio: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-everything'] },
  })
  return mcp
}

export async function mountElsewhere(
  app: Express,
  createMyServer: () => McpServer,
  request: Request,
  authInfo: { clientId: string },
) {
  const mcp = durable({ server: () => createMyServer() })
  app.use('/mcp', express(mcp)) // before or after express.json()
  const http = { createServer }
  http.createServer(node(mcp))
  const response = await mcp.fetch(request, { authInfo })
  return response
}

export function hear(createMyServer: () => McpServer, store: Store, log: Logger) {
  const on: Hooks = {
    call: ({ name, outcome, durationMs }) => log.info({ name, outcome, durationMs }, 'a call has ended'),
    takeover: ({ attempt }) => log.warn({ attempt }, 'a call goes on here'),
  }
  const mcp = durable({ server: () => createMyServer(), store, on })
  return mcp
}

export function trace(createMyServer: () => McpServer, store: Store) {
  const mcp = durable({ server: () => createMyServer(), store, telemetry: telemetry() })
  return mcp
}

export function goOnByItself(url: URL) {
  const transport = new StreamableHTTPClientTransport(url, { fetch: durableFetch() })
  return transport
}

export async function goOnLater(url: URL, lastEventId: string) {
  await using connection = await connect(url) // the official client over durableFetch
  const { sessionId, protocolVersion } = connection // enough to go on later, in another process:
  await using again = await reconnect(url, { sessionId, protocolVersion, lastEventId })
  await again.resumed // the result of the call whose stream `lastEventId` was an event of
}

export function belongToPeople(createMyServer: () => McpServer, store: Store) {
  const userOf = (authInfo?: AuthInfo) => (authInfo?.['extra'] as { sub?: string } | undefined)?.sub
  const mcp = durable({ server: createMyServer, store, principal: (_request, authInfo) => userOf(authInfo) })
  return mcp
}
