import { randomUUID } from 'node:crypto'
import { storeContract } from '@mcp-durable/core/testing'
import { redisStore } from '@mcp-durable/redis-store'
import { afterAll, beforeAll } from 'vitest'
import { startRedisCluster, type RedisCluster } from '../../../test-support/index.js'

let cluster: RedisCluster
beforeAll(async () => void (cluster = await startRedisCluster({ masters: 3 })))
afterAll(() => cluster[Symbol.asyncDispose]())

storeContract('[D-3] Redis Cluster', () => {
  const prefix = `test-${randomUUID()}`
  const clients = [cluster.client(), cluster.client()]
  const [store, peer] = clients.map((client) => redisStore(client, { prefix }))
  return {
    store: store!,
    peer: peer!,
    dispose: async () => clients.forEach((client) => client.disconnect()),
  }
})
