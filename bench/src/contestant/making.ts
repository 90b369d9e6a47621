import type { Hono } from 'hono'
import type { Redis } from 'ioredis'
import { createServerOf20 } from './add-server.js'

/** `/make` makes a server of 20 tools and waits for Redis once; `/nothing` is what a request costs that does neither. */
export function addMaking(app: Hono, redis: Redis) {
  app.get('/make', async (c) => {
    createServerOf20()
    return c.text(await redis.ping())
  })
  app.get('/nothing', (c) => c.text('nothing'))
}
