import { createServer, type RequestListener, type Server as HttpServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import type { Durable } from '@mcp-durable/core'
import { express as durableExpress } from '@mcp-durable/core/express'
import { hono as durableHono } from '@mcp-durable/core/hono'
import { node as durableNode } from '@mcp-durable/core/node'
import express from 'express'
import { Hono } from 'hono'
import { messageOf } from './cli.js'

export type { HttpServer }

export const adapters = ['hono', 'express', 'node'] as const
export type Adapter = (typeof adapters)[number]

export interface Listening {
  /** Without a path and a trailing slash: `http://127.0.0.1:3000`. */
  url: string
  /** Takes no new connection, lets `drain` bring the work to its end, then cuts the connections still open. */
  close(drain?: () => Promise<void>): Promise<void>
}

/** What a GET of a path is answered. */
export type Pages = Record<string, () => Promise<Response>>

/** Serves `mcp` at `/mcp` through one of the three adapters, its health at `/healthz` and `/livez`, and more pages if there are. */
export async function serveMcp(
  mcp: Durable,
  { adapter, host, port, pages = {} }: { adapter: Adapter; host: string; port: number; pages?: Pages },
): Promise<Listening> {
  return listen(serverFor(mcp, adapter, { ...healthOf(mcp), ...pages }), host, port)
}

/** For a load balancer, which sends requests where it is ready, and for whoever restarts what does not live. */
function healthOf(mcp: Durable): Pages {
  return {
    '/healthz': async () => {
      const health = await mcp.health()
      return Response.json(health, { status: health.ready ? 200 : 503 })
    },
    // Without asking the store: whether that is there says nothing of this process.
    '/livez': async () => {
      const { live } = await mcp.health({ timeoutMs: 0 })
      return Response.json({ live }, { status: live ? 200 : 503 })
    },
  }
}

function serverFor(mcp: Durable, adapter: Adapter, pages: Pages): HttpServer {
  switch (adapter) {
    case 'hono': {
      const app = new Hono()
      for (const [path, page] of Object.entries(pages)) app.get(path, page)
      app.use('/mcp', durableHono(mcp))
      return createAdaptorServer({ fetch: app.fetch }) as HttpServer
    }
    case 'express': {
      const app = express()
      for (const [path, page] of Object.entries(pages)) {
        app.get(path, async (_req, res) => send(await page(), res))
      }
      app.use('/mcp', durableExpress(mcp))
      // Express types its application by its own request and response.
      return createServer(app as unknown as RequestListener)
    }
    case 'node': {
      const serve = durableNode(mcp)
      return createServer((req, res) => {
        const page = req.method === 'GET' ? pages[req.url ?? ''] : undefined
        if (page === undefined) return serve(req, res)
        page()
          .then((response) => send(response, res))
          .catch(() => res.destroy())
      })
    }
  }
}

async function send(response: Response, res: ServerResponse): Promise<void> {
  const body = await response.text()
  res.writeHead(response.status, Object.fromEntries(response.headers)).end(body)
}

/** Rejects with a message for the user when the address cannot be bound. */
export async function listen(server: HttpServer, host: string, port: number): Promise<Listening> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(new Error(explain(error, host, port))))
    server.listen(port, host, resolve)
  })
  const address = server.address() as AddressInfo
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return { url: `http://${name}:${address.port}`, close: (drain) => closeServer(server, drain) }
}

async function closeServer(server: HttpServer, drain?: () => Promise<void>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  await drain?.()
  server.closeAllConnections()
  await closed
}

function explain(error: NodeJS.ErrnoException, host: string, port: number): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `port ${port} is taken; choose another one, or port 0 for any that is free`
    case 'EACCES':
      return `this user may not bind port ${port}; choose one above 1023`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${host} is no address of this machine; choose another host, such as 127.0.0.1`
    default:
      return `cannot listen on ${host}:${port}: ${messageOf(error)}`
  }
}
