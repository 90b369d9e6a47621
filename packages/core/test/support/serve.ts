import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import express5 from 'express'
import { Hono } from 'hono'
import type { MiddlewareHandler } from 'hono'
import { express } from '../../src/adapters/express.js'
import { hono } from '../../src/adapters/hono.js'
import { node } from '../../src/adapters/node.js'
import type { AuthInfo, Durable } from '../../src/index.js'

// No types of its own, and the part used here is the same in both majors.
const express4 = createRequire(import.meta.url)('express4') as typeof express5

export const ADAPTERS = ['fetch', 'node', 'express5', 'express4', 'hono'] as const
export type Adapter = (typeof ADAPTERS)[number]

/** One node as a client sees it. */
export interface Endpoint extends AsyncDisposable {
  readonly url: string
  readonly server: Server | undefined
  fetch(init?: RequestInit): Promise<Response>
}

type Fetches = Pick<Durable, 'fetch'>
/**
 * `parsed`: something before the library has read the body already. `around`: for Hono, what runs around the library.
 * `wrapFetch`: for Node.js, what an application makes of the library before it mounts it.
 */
export type ServeOptions = {
  parsed?: boolean
  around?: MiddlewareHandler[]
  wrapFetch?: (mcp: Fetches) => Fetches
}

export async function serve(
  adapter: Adapter,
  mcp: Durable,
  { parsed = false, around = [], wrapFetch = (same) => same }: ServeOptions = {},
): Promise<Endpoint> {
  switch (adapter) {
    case 'fetch':
      return direct(mcp)
    case 'node':
      return listen(createServer(withAuth(node(wrapFetch(mcp)))))
    case 'express5':
      return listen(createServer(expressApp(express5, wrapFetch(mcp), parsed)))
    case 'express4':
      return listen(createServer(expressApp(express4, wrapFetch(mcp), parsed)))
    case 'hono':
      return listen(createAdaptorServer({ fetch: honoApp(mcp, parsed, around).fetch }) as Server)
  }
}

/** `Bearer <client id>/<token>`: what an auth middleware would find out. */
export function authInfoOf(authorization: string | null | undefined): AuthInfo | undefined {
  const [, clientId, token] = /^Bearer (\w+)\/(\w+)$/.exec(authorization ?? '') ?? []
  return clientId === undefined ? undefined : { clientId, token: token ?? '', scopes: ['all'] }
}

function direct(mcp: Durable): Endpoint {
  const url = 'http://127.0.0.1/mcp'
  return {
    url,
    server: undefined,
    async fetch(init) {
      const request = new Request(url, init)
      const authInfo = authInfoOf(request.headers.get('authorization'))
      const response = await mcp.fetch(request, authInfo && { authInfo })
      if (!response.body) return response
      // As a socket would: who aborts the request ends the response.
      const body = response.body.pipeThrough(new TransformStream(), { signal: request.signal })
      return new Response(body, response)
    },
    async [Symbol.asyncDispose]() {
      // Nothing listens.
    },
  }
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
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

function withAuth(handler: ReturnType<typeof node>) {
  return (...[request, response]: Parameters<typeof handler>) => {
    const authInfo = authInfoOf(request.headers.authorization)
    if (authInfo) request.auth = authInfo
    handler(request, response)
  }
}

function expressApp(framework: typeof express5, mcp: Fetches, parsed: boolean) {
  const app = framework()
  if (parsed) app.use(framework.json({ limit: '10mb' }))
  app.use((request, _response, next) => {
    const authInfo = authInfoOf(request.headers.authorization)
    if (authInfo) Object.assign(request as IncomingMessage, { auth: authInfo })
    next()
  })
  app.use('/mcp', express(mcp))
  return app
}

function honoApp(mcp: Durable, parsed: boolean, around: MiddlewareHandler[]) {
  const app = new Hono<{ Variables: { auth: AuthInfo | undefined } }>()
  app.use(async (context, next) => {
    if (parsed && context.req.method === 'POST') await context.req.json().catch(() => undefined)
    context.set('auth', authInfoOf(context.req.header('authorization')))
    await next()
  })
  for (const middleware of around) app.use(middleware)
  app.use('/mcp', hono(mcp))
  return app
}
