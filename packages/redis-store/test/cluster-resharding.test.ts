import { randomUUID } from 'node:crypto'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startRedisCluster, waitFor } from '../../../test-support/index.js'
import { LIMITS, newSession, once } from './support.js'

/** Moves the slot of a key, with all that is in it, to another master. */
async function moveSlot(ports: number[], key: string) {
  const nodes = await Promise.all(
    ports.map(async (port) => {
      const admin = new Redis(port, '127.0.0.1')
      return { port, admin, id: String(await admin.call('CLUSTER', 'MYID')) }
    }),
  )
  const [first] = nodes
  const slot = await first!.admin.cluster('KEYSLOT', key)
  const ranges = await first!.admin.cluster('SLOTS')
  const [, , owner] = ranges.find(([from, to]) => from <= slot && slot <= to)!
  const source = nodes.find(({ port }) => port === owner![1])!
  const target = nodes.find((node) => node !== source)!
  await target.admin.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id)
  await source.admin.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id)
  const keys = (await source.admin.call('CLUSTER', 'GETKEYSINSLOT', slot, 1000)) as string[]
  await source.admin.call('MIGRATE', '127.0.0.1', target.port, '', 0, 5000, 'KEYS', ...keys)
  for (const { admin } of [target, source, ...nodes]) {
    await admin.call('CLUSTER', 'SETSLOT', slot, 'NODE', target.id)
  }
  for (const { admin } of nodes) admin.disconnect()
}

test('when a session moves to another master, its data and its watchers move along', async () => {
  await using cluster = await startRedisCluster({ masters: 3 })
  const prefix = `test-${randomUUID()}`
  const [store, peer] = [cluster.client(), cluster.client()].map((client) => redisStore(client, { prefix }))
  const { id } = newSession()
  await store!.createSession(newSession({ id }), LIMITS)
  const before = await store!.append(id, 'out', 'before', once())
  const heard: string[] = []
  await peer!.watch(id, (topic, value) => heard.push(`${topic} ${value}`))

  await moveSlot(
    cluster.servers.map(({ port }) => port),
    `${prefix}:{${id}}`,
  )
  const after = await store!.append(id, 'out', 'after', once())
  expect(await peer!.read(id, 'out', before || '', 10)).toEqual([{ id: after, data: 'after' }])
  await waitFor(() => heard.includes('resync '), { what: 'resync' })
  await store!.publish(id, 'topic', 'moved')
  await waitFor(() => heard.includes('topic moved'), { what: 'a wake-up' })
  expect(heard.filter((message) => message === 'topic moved')).toHaveLength(1)
  await Promise.all([store!.close(), peer!.close()])
})
