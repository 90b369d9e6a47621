import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { durable } from '@mcp-durable/core'
import { express as mount, fromNode } from '@mcp-durable/core/express'
import { redisStore } from '@mcp-durable/redis-store'
import { StreamableHTTPServerTransport as Transport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import express from 'express'
import { Redis } from 'ioredis'
import { createMyServer } from './my-server.js'

const transports = new Map<string, Transport>()
const existing = express()

existing.all('/mcp', express.json(), async (req, res) => {
  const id = req.get('mcp-session-id')
  const known = id === undefined ? await begin() : transports.get(id)
  if (known) await known.handleRequest(req, res, req.body)
  else res.status(404).send('No such session')
})

async function begin() {
  const transport = new Transport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (begun) => void transports.set(begun, transport),
    onsessionclosed: (ended) => void transports.delete(ended),
  })
  await createMyServer().connect(transport)
  return transport
}

const store = redisStore(new Redis(process.env['REDIS_URL'] ?? ''))
const app = express()
app.all('/mcp', mount(durable({ handler: fromNode(existing), store })))

const http = app.listen(Number(process.env['PORT']), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(http.address() as AddressInfo).port}`)
})
