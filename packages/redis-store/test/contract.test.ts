import { randomUUID } from 'node:crypto'
import { storeContract } from '@mcp-durable/core/testing/store'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'

const url = process.env['REDIS_URL'] ?? ''

for (const [name, connect] of [
  ['ioredis 6', () => new Redis(url)],
  ['ioredis 5', () => new Redis5(url)],
] as const) {
  storeContract(`[D-2] Redis, ${name}`, () => {
    const prefix = `test-${randomUUID()}`
    const clients = [connect(), connect()]
    const [store, peer] = clients.map((client) => redisStore(client, { prefix }))
    return {
      store: store!,
      peer: peer!,
      dispose: async () => clients.forEach((client) => client.disconnect()),
    }
  })
}
