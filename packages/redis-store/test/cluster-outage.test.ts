import { randomUUID } from 'node:crypto'
import { redisStore } from '@mcp-durable/redis-store'
import { Cluster, Redis } from 'ioredis'
import { Cluster as Cluster5 } from 'ioredis5'
import { describe, expect, test } from 'vitest'
import { startRedisCluster, waitFor } from '../../../test-support/index.js'
import { LIMITS, newSession, waitForReplicas } from './support.js'

type Remembering = { shardedSubscribers: { channels: Map<number, string[]> } }

/** A client, and how many subscriptions that of the store's wake-ups would repeat. */
function observed(client: Cluster) {
  let inner: Remembering | undefined
  const duplicate = client.duplicate.bind(client)
  client.duplicate = (...args) => {
    const made = duplicate(...args)
    inner = made as unknown as Remembering
    return made
  }
  const remembered = () => [...(inner?.shardedSubscribers.channels.values() ?? [])].flat().length
  return { client, remembered }
}

async function masterPort(admin: Redis, key: string): Promise<number> {
  const [slot, ranges] = [await admin.cluster('KEYSLOT', key), await admin.cluster('SLOTS')]
  return ranges.find(([from, to]) => from <= slot && slot <= to)![2]![1]
}

describe.each([
  ['ioredis 6', Cluster],
  ['ioredis 5', Cluster5 as unknown as typeof Cluster],
])('a Cluster whose masters fail, %s', (_, Client) => {
  test('nothing grows while one of them is away', async () => {
    await using cluster = await startRedisCluster({ masters: 3 })
    const { client, remembered } = observed(new Client(cluster.nodes))
    client.on('error', () => undefined)
    const store = redisStore(client, { prefix: `test-${randomUUID()}`, deadlineMs: 1000 })
    let missed = 0
    const scopes = Array.from({ length: 30 }, () => randomUUID())
    for (const scope of scopes) await store.watch(scope, (topic) => topic === 'resync' && missed++)
    await cluster.killMaster()
    // Each time all of the other masters are subscribed to anew.
    await waitFor(() => missed > 3 * scopes.length, { what: 'some breaks' })
    expect(remembered()).toBeLessThanOrEqual(scopes.length)
    await store.close()
    client.disconnect()
  })

  test('one stands still, though its connections do not break: who listens hears its replica', async () => {
    await using cluster = await startRedisCluster({ masters: 3, replicas: 1 })
    await waitForReplicas(cluster.servers.map(({ port }) => port))
    const prefix = `test-${randomUUID()}`
    const client = new Client(cluster.nodes)
    const store = redisStore(client, { prefix })
    const { id } = newSession()
    await store.createSession(newSession({ id }), LIMITS)
    let heard = false
    await store.watch(id, (topic) => (heard ||= topic === 'after'))
    const key = `${prefix}:{${id}}`
    const master = await cluster.masterOf(key)
    const other = new Redis(cluster.servers.find((server) => server !== master)!.url)
    master.pause()
    try {
      await waitFor(async () => (await masterPort(other, key)) !== master.port, {
        what: 'a new master',
        timeoutMs: 60_000,
      })
      const replica = new Redis(await masterPort(other, key))
      const told = async () => {
        await replica.spublish(key, 'after ')
        return heard
      }
      await waitFor(told, { what: 'a wake-up', timeoutMs: 60_000 })
      replica.disconnect()
    } finally {
      master.resume()
    }
    other.disconnect()
    await store.close()
    client.disconnect()
  })
})
