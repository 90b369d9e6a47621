import { randomUUID } from 'node:crypto'
import { redisStore } from '@mcp-durable/redis-store'
import { Cluster, Redis } from 'ioredis'
import { Cluster as Cluster5 } from 'ioredis5'
import { expect, test } from 'vitest'
import { startRedisCluster, waitFor, type RedisCluster } from '../../../test-support/index.js'
import { LIMITS, newCall, newSession, once } from './support.js'

/** Moves the slot of a key, with all that is in it, to another master. `midway`: its old master knows it, and no other one. */
async function moveSlot(ports: number[], key: string, midway?: () => Promise<unknown>) {
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
  const left = () => source.admin.call('CLUSTER', 'GETKEYSINSLOT', slot, 1000) as Promise<string[]>
  // Whoever writes meanwhile makes more of them.
  for (let keys = await left(); keys.length > 0; keys = await left())
    await source.admin.call('MIGRATE', '127.0.0.1', target.port, '', 0, 5000, 'KEYS', ...keys)
  const tell = ({ admin }: { admin: Redis }) => admin.call('CLUSTER', 'SETSLOT', slot, 'NODE', target.id)
  if (midway) {
    await tell(source)
    await midway()
  }
  for (const node of [target, source, ...nodes]) await tell(node)
  for (const { admin } of nodes) admin.disconnect()
}

const portsOf = ({ servers }: RedisCluster) => servers.map(({ port }) => port)

const versions = [
  ['ioredis 6', Cluster],
  ['ioredis 5', Cluster5],
] as const

test.each(versions)(
  'when a session moves to another master, its data and its watchers move along, %s',
  async (_, Client) => {
    await using cluster = await startRedisCluster({ masters: 3 })
    const prefix = `test-${randomUUID()}`
    const clients = [new Client(cluster.nodes), new Client(cluster.nodes)]
    const [store, peer] = clients.map((client) => redisStore(client, { prefix }))
    const { id } = newSession()
    await store!.createSession(newSession({ id }), LIMITS)
    const before = await store!.append(id, 'out', 'before', once())
    const heard: string[] = []
    await peer!.watch(id, (topic, value) => heard.push(`${topic} ${value}`))

    await moveSlot(portsOf(cluster), `${prefix}:{${id}}`)
    const after = await store!.append(id, 'out', 'after', once())
    expect(await peer!.read(id, 'out', before || '', 10)).toEqual([{ id: after, data: 'after' }])
    await waitFor(() => heard.includes('resync '), { what: 'resync' })
    await store!.publish(id, 'topic', 'moved')
    await waitFor(() => heard.includes('topic moved'), { what: 'a wake-up' })
    expect(heard.filter((message) => message === 'topic moved')).toHaveLength(1)
    await Promise.all([store!.close(), peer!.close()])
    for (const client of clients) client.disconnect()
  },
)

test.each(versions)(
  'nor is a watcher lost where the next master asked has not heard of the move, %s',
  async (_, Client) => {
    await using cluster = await startRedisCluster({ masters: 5 })
    const prefix = `test-${randomUUID()}`
    const client = new Client(cluster.nodes)
    const store = redisStore(client, { prefix })
    const admins = cluster.servers.map(({ url }) => new Redis(url))
    const questions = async () => {
      const stats = await Promise.all(admins.map((admin) => admin.info('commandstats')))
      const counts = stats.map((text) => Number(/cluster\|slots:calls=(\d+)/.exec(text)?.[1] ?? 0))
      return counts.reduce((sum, count) => sum + count, 0)
    }
    for (let session = 0; session < 2; session++) {
      const { id } = newSession()
      await store.createSession(newSession({ id }), LIMITS)
      const heard: string[] = []
      await store.watch(id, (topic, value) => heard.push(`${topic} ${value}`))
      const before = await questions()
      // One of them is asked by the move itself.
      const asked = () => waitFor(async () => (await questions()) > before + 1, { what: 'a question' })

      await moveSlot(portsOf(cluster), `${prefix}:{${id}}`, asked)
      await waitFor(() => heard.includes('resync '), { what: 'resync', timeoutMs: 60_000 })
      heard.length = 0
      await store.publish(id, 'topic', 'moved')
      // Or it was missed, as the subscription was just made anew for another reason, which is told.
      await waitFor(() => heard.length > 0, { what: 'a wake-up', timeoutMs: 60_000 })
    }
    for (const admin of admins) admin.disconnect()
    await store.close()
    client.disconnect()
  },
)

test('[N-3] durable writes go on while their slot moves, and what is acknowledged is there', async () => {
  await using cluster = await startRedisCluster({ masters: 2, replicas: 1 })
  const prefix = `test-${randomUUID()}`
  const store = redisStore(cluster.client(), { prefix, durability: 'replicated' })
  await waitFor(() => store.beat('node').then(() => true), { what: 'replicas that are connected' })
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), LIMITS)
  const call = newCall(scope)
  const opened = await store.openCall(call)
  if (opened.status !== 'opened') throw new Error(opened.status)
  const acknowledged = [opened.id]
  const moved = new AbortController()
  let rest = 20
  const write = async () => {
    for (let seq = 2; !moved.signal.aborted || rest-- > 0; seq++) {
      const id = opened.id.replace(/1$/, String(seq))
      // As a call does it: what has no known outcome is sent again.
      const outcome = await store
        .appendQuietly(scope, call.callId, [{ id, data: String(seq) }])
        .catch(() => 'unknown')
      if (outcome === 'appended') acknowledged.push(id)
      else seq--
    }
  }
  const writing = write()
  await waitFor(() => acknowledged.length > 20, { what: 'some writes' })
  await moveSlot(portsOf(cluster).slice(0, 2), `${prefix}:{${scope}}`)
  moved.abort()
  await writing
  const held = (await store.read(scope, `call:${call.callId}`, '0-0', 100_000)) ?? []
  expect(held.map(({ id }) => id)).toEqual(acknowledged)
  await store.close()
})
