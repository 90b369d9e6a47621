import { createServer, type RequestListener, type Server as HttpServer } from 'node:http'
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

/** Serves `mcp` at `/mcp` through one of the three adapters. */
export async function serveMcp(
  mcp: Durable,
  { adapter, host, port }: { adapter: Adapter; host: string; port: number },
): Promise<Listening> {
  return listen(serverFor(mcp, adapter), host, port)
}

function serverFor(mcp: Durable, adapter: Adapter): HttpServer {
  switch (adapter) {
    case 'hono': {
      const app = new Hono()
      app.use('/mcp', durableHono(mcp))
      return createAdaptorServer({ fetch: app.fetch }) as HttpServer
    }
    case 'express': {
      const app = express()
      app.use('/mcp', durableExpress(mcp))
      // Express types its application by its own request and response.
      return createServer(app as unknown as RequestListener)
    }
    case 'node':
      return createServer(durableNode(mcp))
  }
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
