import { randomUUID } from 'node:crypto'
import { serve } from '@hono/node-server'
import { WebStandardStreamableHTTPServerTransport as Transport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import { Hono } from 'hono'
import { createMyServer } from './my-server.js'

const transports = new Map<string, Transport>()
const app = new Hono()

app.all('/mcp', async (c) => {
  const id = c.req.header('mcp-session-id')
  if (id !== undefined) return transports.get(id)?.handleRequest(c.req.raw) ?? c.text('No such session', 404)
  const transport = new Transport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (begun) => void transports.set(begun, transport),
    onsessionclosed: (ended) => void transports.delete(ended),
  })
  await createMyServer().connect(transport)
  return transport.handleRequest(c.req.raw)
})

serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env['PORT']) }, ({ port }) => {
  console.log(`listening on http://127.0.0.1:${port}`)
})
