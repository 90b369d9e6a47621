import { randomUUID } from 'node:crypto'
import { redisStore } from '@mcp-durable/redis-store'
import type { RedisStoreOptions } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { startRedis, startRedisCluster, waitFor } from '../../../test-support/index.js'
import type { RedisServer } from '../../../test-support/index.js'
import { counted, HOUR, LIMITS, newCall, newSession, openStore, stallingLink } from './support.js'

const open = (server: RedisServer, options: RedisStoreOptions = {}) => openStore(server.url, options)

/** A replica that has all that the master had; its link may go over another port. */
async function startReplica(master: RedisServer, port = master.port) {
  const replica = await startRedis({ config: { replicaof: ['127.0.0.1', String(port)] } })
  const client = new Redis(master.url)
  await waitFor(async () => (await client.info('replication')).includes('state=online'), {
    what: 'the replica',
  })
  client.disconnect()
  return replica
}

/** The master has written more than its replica has said it has, and not only asked it. */
async function isAhead(client: Redis) {
  const info = await client.info('replication')
  const [, offset = '0'] = /master_repl_offset:(\d+)/.exec(info) ?? []
  const [, acknowledged = '0'] = /,offset=(\d+)/.exec(info) ?? []
  return Number(offset) > Number(acknowledged) + 2000
}

test('[N-3] what is acknowledged as replicated is there when the master is killed', async () => {
  await using master = await startRedis()
  await using link = await stallingLink(master.port)
  await using replica = await startReplica(master, link.port)
  const prefix = `test-${randomUUID()}`
  const scopes: string[] = []
  {
    await using opened = open(master, { prefix, durability: 'replicated' })
    const { store } = opened
    expect(await store.findRisks()).toEqual([expect.stringContaining('appendonly')])
    const killed = new AbortController()
    const write = async () => {
      while (!killed.signal.aborted) {
        const call = newCall(randomUUID(), { begins: { protocolVersion: 'label' } })
        const opening = await store.openCall(call)
        if (opening.status === 'opened') scopes.push(`${call.scope} ${call.callId}`)
      }
    }
    const writing = Promise.all(Array.from({ length: 20 }, () => write().catch(() => undefined)))
    await waitFor(() => scopes.length > 200, { what: 'some writes' })
    link.stall()
    await waitFor(() => isAhead(opened.client), { what: 'writes that the replica does not have' })
    await master.kill('SIGKILL')
    killed.abort()
    await writing
  }
  const admin = new Redis(replica.url)
  await admin.replicaof('NO', 'ONE')
  admin.disconnect()
  await using there = open(replica, { prefix })
  for (const place of scopes) {
    const [scope = '', callId = ''] = place.split(' ')
    const entries = await there.store.read(scope, `call:${callId}`, '0-0', 1)
    expect({ place, entries: entries?.length }).toEqual({ place, entries: 1 })
  }
})

test('[N-3] a write waits for its replica, and nothing else waits for it', async () => {
  await using master = await startRedis()
  await using replica = await startReplica(master)
  await using opened = open(master)
  const { store } = opened
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), LIMITS)
  const call = newCall(scope)
  const opening = await store.openCall(call)
  if (opening.status !== 'opened') throw new Error(opening.status)
  const entry = (seq: number) => ({ id: opening.id.replace(/1$/, String(seq)), data: String(seq) })
  await store.requireDurability!('replicated')
  replica.pause()
  let isDone = false
  const replicated = { ...entry(2), durability: 'replicated' } as const
  const waiting = store.appendQuietly(scope, call.callId, [replicated]).finally(() => (isDone = true))
  const other = newCall(scope)
  await store.openCall(other)
  await waitFor(async () => (await store.read(scope, `call:${call.callId}`, '0-0', 9))?.length === 2)
  expect(isDone).toBe(false)
  replica.resume()
  expect(await waiting).toBe('appended')
  // Sent again, it is found, and made sure of again.
  expect(await store.appendCall(scope, call.callId, [replicated])).toBe('appended')
})

test('[N-3] a write that no replica has in time failed with an outcome that is unknown', async () => {
  await using master = await startRedis()
  await using replica = await startReplica(master)
  await using opened = open(master, { deadlineMs: 500 })
  const { store } = opened
  await store.requireDurability!('replicated')
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), LIMITS)
  const call = newCall(scope)
  const opening = await store.openCall(call)
  if (opening.status !== 'opened') throw new Error(opening.status)
  replica.pause()
  const entry = { id: opening.id.replace(/1$/, '2'), data: 'x', durability: 'replicated' } as const
  await expect(store.appendCall(scope, call.callId, [entry])).rejects.toMatchObject({ code: 'store-timeout' })
  replica.resume()
})

describe('[N-3] a store that can not do it says so, and its node is not there', () => {
  test.each([
    ['replicated', { aof: 'always' }, /0 of 1 replicas/],
    ['fsync', { aof: 'no' }, /can't be 'fsync': Redis refuses WAITAOF.*appendonly yes/],
  ] as const)('%s', async (durability, options, words) => {
    await using server = await startRedis(options)
    await using opened = open(server, { durability })
    const { store } = opened
    const refusal = { code: 'store-failed', message: expect.stringMatching(words) }
    await expect(store.beat('node')).rejects.toMatchObject(refusal)
    await expect(store.openCall(newCall(randomUUID()))).rejects.toMatchObject(refusal)
    expect(await store.findRisks()).toContainEqual(expect.stringMatching(words))
  })
})

test('[N-3] with appendfsync always there is nothing to wait for, also on a server without WAITAOF', async () => {
  await using server = await startRedis({ aof: 'always' })
  await using opened = open(server, { durability: 'fsync' })
  const { store } = opened
  expect(await store.beat('node')).toBe(false)
  const session = newSession()
  expect(await store.createSession(session, LIMITS)).toBe('created')
  expect(await store.readSession(session.id)).toBeDefined()
})

test('[N-3] writes that come together are made sure of together', async () => {
  await using master = await startRedis()
  await using replica = await startReplica(master)
  await using opened = open(master)
  const { client, sent } = counted(opened.client)
  const store = redisStore(client, { prefix: opened.prefix, durability: 'replicated' })
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), LIMITS)
  const waits = async () =>
    Number(/cmdstat_wait:calls=(\d+)/.exec(await opened.client.info('commandstats'))?.[1] ?? 0)
  const before = await waits()
  await Promise.all(Array.from({ length: 100 }, () => store.openCall(newCall(scope, { ttlMs: HOUR }))))
  expect((await waits()) - before).toBeLessThan(10)
  expect(sent.length).toBeLessThan(20)
  await store.close()
  expect(replica.running).toBe(true)
})

test('[N-3] in a Cluster each master waits for its own replicas', async () => {
  await using cluster = await startRedisCluster({ masters: 2, replicas: 1 })
  const store = redisStore(cluster.client(), { durability: 'replicated' })
  await waitFor(() => store.beat('node').then(() => true), { what: 'replicas that are connected' })
  const calls = Array.from({ length: 100 }, () =>
    newCall(randomUUID(), { begins: { protocolVersion: 'label' } }),
  )
  const opened = await Promise.all(calls.map((call) => store.openCall(call)))
  expect(new Set(opened.map(({ status }) => status))).toEqual(new Set(['opened']))
  const waits = await Promise.all(
    cluster.servers.map(async ({ url }) => {
      const admin = new Redis(url)
      const stats = await admin.info('commandstats')
      admin.disconnect()
      return stats.includes('cmdstat_wait:')
    }),
  )
  expect(waits.filter(Boolean)).toHaveLength(2)
  await store.close()
})
