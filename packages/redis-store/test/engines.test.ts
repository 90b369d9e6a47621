import { randomUUID } from 'node:crypto'
import { storeContract } from '@mcp-durable/core/testing/store'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findEngines, startRedis } from '../../../test-support/index.js'
import type { RedisServer } from '../../../test-support/index.js'
import { LIMITS, newSession } from './support.js'

const ours = await findEngines()
const [used] = process.env['REDIS_SERVERS'] ? [] : ours
/** What all other tests run on needs no more of them. */
const others = ours.filter((engine) => engine !== used)

test.skipIf(others.length === 0)(
  'there are other engines: REDIS_SERVERS names them, see CONTRIBUTING.md',
  () => expect(others.length).toBeGreaterThan(0),
)

describe.each(others)('[N-4] $name', ({ command }) => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis({ command, aof: 'everysec' })
  })
  afterAll(() => server[Symbol.asyncDispose]())

  storeContract('the whole of it', () => {
    const prefix = `test-${randomUUID()}`
    const clients = [1, 2].map(() => new Redis(server.url))
    const [store, peer] = clients.map((client) => redisStore(client, { prefix }))
    return {
      store: store!,
      peer: peer!,
      dispose: async () => clients.forEach((client) => client.disconnect()),
    }
  })

  test('what it can make sure of, and what it says that it can not', async () => {
    const client = new Redis(server.url)
    const store = redisStore(client, { prefix: `test-${randomUUID()}`, durability: 'fsync' })
    const hasWait = !((await client.call('WAITAOF', 0, 0, 1).catch((error: Error) => error)) instanceof Error)
    const creating = store.createSession(newSession(), LIMITS)
    if (hasWait) expect(await creating).toBe('created')
    else await expect(creating).rejects.toThrow(/can't be 'fsync': Redis refuses WAITAOF/)
    await expect(store.requireDurability!('replicated')).rejects.toThrow('0 of 1 replicas')
    await store.close()
    client.disconnect()
  })
})
