import { randomUUID } from 'node:crypto'
import { memoryStore } from '@mcp-durable/core'
import { eventStore } from '@mcp-durable/core/sdk'
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { WebStandardStreamableHTTPServerTransport as Transport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import { Hono } from 'hono'

/**
 * A server as many exist: Hono, and the SDK's transports in a Map. Nothing in it knows of other nodes. That its streams
 * can be resumed while it lives is the SDK's own doing, with an event store.
 */
export function createExisting(make: () => McpServer): Hono {
  const app = new Hono()
  const transports = new Map<string, Transport>()
  const events = memoryStore()

  app.all('/mcp', async (context) => {
    const id = context.req.header('mcp-session-id')
    const known = id === undefined ? undefined : transports.get(id)
    if (known) return known.handleRequest(context.req.raw)
    if (id !== undefined) return context.json(sessionNotFound, 404)
    const transport = new Transport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (begun) => void transports.set(begun, transport),
      onsessionclosed: (ended) => void transports.delete(ended),
      eventStore: eventStore(events, randomUUID()),
    })
    await make().connect(transport)
    return transport.handleRequest(context.req.raw)
  })
  return app
}

const sessionNotFound = { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } }
