import { serve } from '@hono/node-server'
import { durable } from '@mcp-durable/core'
import { hono } from '@mcp-durable/core/hono'
import { redisStore } from '@mcp-durable/redis-store'
import { Hono } from 'hono'
import { Redis } from 'ioredis'
import { createMyServer } from './my-server.js'

const store = redisStore(new Redis(process.env['REDIS_URL'] ?? ''))
const mcp = durable({ server: createMyServer, store })
const app = new Hono()
app.use('/mcp', hono(mcp))

const http = serve(
  { fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env['PORT']) },
  ({ port }) => {
    console.log(`listening on http://127.0.0.1:${port}`)
  },
)

process.once('SIGTERM', () => void leave())

async function leave() {
  http.close()
  await mcp.close()
  process.exit()
}
