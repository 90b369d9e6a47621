import type { AddressInfo } from 'node:net'
import { durable } from '@mcp-durable/core'
import { express as mount } from '@mcp-durable/core/express'
import { redisStore } from '@mcp-durable/redis-store'
import express from 'express'
import { Redis } from 'ioredis'
import { createMyServer } from './my-server.js'

const store = redisStore(new Redis(process.env['REDIS_URL'] ?? ''))
const mcp = durable({ server: createMyServer, store })
const app = express()
app.use('/mcp', mount(mcp))

const http = app.listen(Number(process.env['PORT']), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(http.address() as AddressInfo).port}`)
})

process.once('SIGTERM', () => void leave())

async function leave() {
  http.close()
  await mcp.close()
  process.exit()
}
