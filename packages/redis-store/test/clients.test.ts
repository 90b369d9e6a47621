import { randomUUID } from 'node:crypto'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { freePort, waitFor } from '../../../test-support/index.js'
import { LIMITS, newSession, once, openStore, sharedUrl } from './support.js'

test.each([
  ['lazyConnect', { lazyConnect: true }],
  ['keyPrefix', { keyPrefix: 'app:' }],
  ['enableAutoPipelining', { enableAutoPipelining: true }],
  ['protocol 2', { protocol: 2 as const }],
  ['no offline queue', { enableOfflineQueue: false }],
  ['numbers as strings', { stringNumbers: true }],
  ['maps as objects', { replyMapping: 'resp3' as const }],
])('works on a client with %s, from its first connection on', async (_, options) => {
  await using opened = openStore(undefined, options)
  const { store } = opened
  const session = newSession()
  expect(await store.createSession(session, LIMITS)).toBe('created')
  expect(await store.createSession(newSession(), { maxPerPrincipal: 1 })).toBe('limit')
  const heard: string[] = []
  await store.watch(session.id, (topic, value) => heard.push(`${topic} ${value}`))
  const id = await store.append(session.id, 'out', 'x', once())
  await waitFor(() => heard.includes(`out ${id}`))
  expect(await store.putState(session.id, { key: 'k', data: 'd', nonce: 'n' }, { maxKeys: 9 })).toBe(2)
  expect((await store.admit(session.id, 'alice', 60_000))?.version).toBe(2)
  expect((await store.listSessions(undefined, 9)).ids).toEqual([session.id])
  expect(await store.deleteSession(session.id, 'alice')).toBe(true)
  expect(await store.deleteSession(session.id, 'alice')).toBe(false)
})

test('stores with different prefixes share nothing', async () => {
  await using one = openStore()
  await using two = openStore()
  const session = newSession()
  await one.store.createSession(session, LIMITS)
  expect(await two.store.readSession(session.id)).toBeUndefined()
  expect((await two.store.listSessions(undefined, 9)).ids).toEqual([])
})

test('a client that never connects fails as soon as it has failed', async () => {
  const client = new Redis({ port: await freePort(), host: '127.0.0.1', retryStrategy: () => 50 })
  client.on('error', () => undefined)
  const store = redisStore(client, { prefix: randomUUID() })
  await expect(store.readSession('s')).rejects.toMatchObject({ code: 'store-unavailable' })
  await expect(store.readSession('s')).rejects.toMatchObject({ code: 'store-unavailable' })
  client.disconnect()
  await expect(store.readSession('s')).rejects.toMatchObject({ code: 'store-unavailable' })
  await store.close()
})

test('close leaves the client that was handed over alone, and ends what the store opened', async () => {
  const connectionName = randomUUID()
  const client = new Redis(sharedUrl(), { connectionName })
  const store = redisStore(client, { prefix: connectionName })
  const observer = new Redis(sharedUrl())
  const connections = async () =>
    String(await observer.client('LIST')).split(`name=${connectionName} `).length - 1
  await store.watch('s', () => undefined)
  expect(await connections()).toBe(2)
  await store.close()
  await waitFor(async () => (await connections()) === 1)
  expect(await client.ping()).toBe('PONG')
  await expect(store.watch('s', () => undefined)).rejects.toMatchObject({ code: 'store-unavailable' })
  client.disconnect()
  observer.disconnect()
})

test('many stores on one client add few listeners', async () => {
  const client = new Redis(sharedUrl())
  const stores = Array.from({ length: 30 }, () => redisStore(client))
  expect(client.listenerCount('ready')).toBeLessThan(5)
  expect(client.listenerCount('close')).toBeLessThan(5)
  await Promise.all(stores.map((store) => store.close()))
  client.disconnect()
})

test.each([
  [
    'an address',
    'redis://user:secret@host',
    "takes a client, not an address: redisStore(new Redis('redis://",
  ],
  ['nothing', undefined, 'was given undefined'],
  ['options of a client', { host: 'localhost' }, 'takes a client of ioredis'],
])('%s is not taken for a client', (_, client, words) => {
  const open = () => redisStore(client as never)
  expect(open).toThrow(TypeError)
  expect(open).toThrow(words)
  expect(open).not.toThrow('secret')
})

test.each([
  [{ prefx: 'shop' }, "has no option 'prefx'. There are: prefix, deadlineMs, durability, replicas"],
  ['shop', "options are an object, as in { prefix: 'shop' }"],
  [{ prefix: '{shop}' }, "'prefix' must be a text without braces"],
  [{ prefix: '' }, "'prefix' must be"],
  [{ deadlineMs: '5s' }, "'deadlineMs' must be a number of milliseconds"],
  [{ deadlineMs: 0 }, "'deadlineMs' must be"],
  [{ durability: 'disk' }, "'durability' must be 'memory', 'fsync' or 'replicated'"],
  [{ replicas: 0 }, "'replicas' must be a whole number above 0"],
])('options %o are refused by name', (options, words) => {
  const client = new Redis({ lazyConnect: true })
  expect(() => redisStore(client, options as never)).toThrow(words)
  client.disconnect()
})
