import { randomUUID } from 'node:crypto'
import { storeContract } from '@mcp-durable/core/testing'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'

storeContract('[D-2] Redis', () => {
  const prefix = `test-${randomUUID()}`
  const clients = [1, 2].map(() => new Redis(process.env['REDIS_URL'] ?? ''))
  const [store, peer] = clients.map((client) => redisStore(client, { prefix }))
  return {
    store: store!,
    peer: peer!,
    dispose: async () => clients.forEach((client) => client.disconnect()),
  }
})
