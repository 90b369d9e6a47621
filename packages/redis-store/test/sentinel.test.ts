import { randomUUID } from 'node:crypto'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startRedis, startSentinel, waitFor } from '../../../test-support/index.js'
import { LIMITS, newSession, once, waitForReplicas } from './support.js'

test('a store on Sentinel follows the new master, and so do its wake-ups', async () => {
  await using master = await startRedis()
  await using replica = await startRedis({ config: { replicaof: `127.0.0.1 ${master.port}` } })
  await using sentinel = await startSentinel(master.port)
  await waitFor(
    async () => /num-slaves,1,/.test(String(await sentinel.admin.call('SENTINEL', 'MASTER', 'main'))),
    {
      what: 'the replica known to Sentinel',
    },
  )

  const sentinels = [{ host: '127.0.0.1', port: sentinel.port }]
  const client = new Redis({ sentinels, name: 'main', retryStrategy: () => 50 })
  client.on('error', () => undefined)
  const store = redisStore(client, { prefix: `test-${randomUUID()}`, deadlineMs: 1000 })
  const { id } = newSession()
  await store.createSession(newSession({ id }), LIMITS)
  const heard: string[] = []
  await store.watch(id, (topic) => heard.push(topic))
  const first = await store.append(id, 'out', 'before', once())
  await waitForReplicas([master.port])

  await master.kill()
  const options = once()
  const second = await waitFor(() => store.append(id, 'out', 'after', options))
  expect(await store.read(id, 'out', '0-0', 10)).toEqual([
    { id: first, data: 'before' },
    { id: second, data: 'after' },
  ])
  expect(replica.running).toBe(true)
  await waitFor(() => heard.includes('resync'))
  await store.publish(id, 'topic', '')
  await waitFor(() => heard.includes('topic'))
  await store.close()
  client.disconnect()
})
