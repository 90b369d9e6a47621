import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startRedis, waitFor } from '../../../test-support/index.js'
import { LIMITS, newCall, newSession, once, openStore } from './support.js'

test('one connection for all watchers, one subscription per scope, none when nobody watches', async () => {
  await using server = await startRedis()
  const connectionName = randomUUID()
  await using opened = openStore(server.url, { connectionName })
  const { store, client } = opened
  const channels = async () => ((await client.call('PUBSUB', 'SHARDCHANNELS')) as string[]).length
  const connections = async () =>
    String(await client.client('LIST')).split(`name=${connectionName} `).length - 1

  await store.readSession('s')
  expect(await connections()).toBe(1)
  await store.publish('s', 'topic', 'nobody')
  expect(await channels(), 'it was tried out').toBe(0)
  const scopes = Array.from({ length: 40 }, () => randomUUID())
  const watches = await Promise.all(
    [...scopes, ...scopes].map((scope) => store.watch(scope, () => undefined)),
  )
  expect(await connections()).toBe(2)
  expect(await channels()).toBe(40)
  for (const unwatch of watches.slice(0, 40)) unwatch()
  expect(await channels()).toBe(40)
  for (const unwatch of watches.slice(40)) unwatch()
  await waitFor(async () => (await channels()) === 0)
})

test('a small entry comes with its news, a large one has to be read', async () => {
  await using opened = openStore()
  const { store } = opened
  const session = newSession()
  await store.createSession(session, LIMITS)
  const news: (string[] | undefined)[] = []
  await store.watch(session.id, (_topic, _id, appended) =>
    news.push(appended && [appended.previous, ...appended.entries.map(({ data }) => data)]),
  )
  await store.append(session.id, 'out', 'small', once())
  const second = await store.append(session.id, 'out', 'x'.repeat(4097), once())
  await store.append(session.id, 'out', '\n small too', once())
  await waitFor(() => news.length === 3, { what: 'all news' })
  expect(news).toEqual([['0-0', 'small'], undefined, [second, '\n small too']])
})

test('a connection that breaks is replaced, and every listener told once', async () => {
  await using server = await startRedis()
  await using opened = openStore(server.url)
  const { store } = opened
  const admin = new Redis(server.url)
  const scopes = Array.from({ length: 30 }, () => randomUUID())
  const heard = new Map(scopes.map((scope) => [scope, [] as string[]]))
  await Promise.all(scopes.map((scope) => store.watch(scope, (topic) => heard.get(scope)?.push(topic))))
  for (let round = 1; round <= 3; round++) {
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    const told = () =>
      [...heard.values()].every((topics) => topics.filter((t) => t === 'resync').length === round)
    await waitFor(told, { what: 'all listeners told' })
    await Promise.all(scopes.map((scope) => store.publish(scope, `round-${round}`, '')))
    const topics = (n: number) => Array.from({ length: n }, (_, i) => ['resync', `round-${i + 1}`]).flat()
    await waitFor(() => [...heard.values()].every(({ length }) => length === 2 * round), { what: 'wake-ups' })
    for (const topicsHeard of heard.values()) expect(topicsHeard).toEqual(topics(round))
  }
  admin.disconnect()
})

test('who watches during a break is served after it', async () => {
  await using server = await startRedis()
  await using opened = openStore(server.url)
  const { store } = opened
  const admin = new Redis(server.url)
  await store.watch('first', () => undefined)
  await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
  const heard: string[] = []
  const unwatch = await store.watch('second', (topic) => heard.push(topic))
  await store.publish('second', 'topic', '')
  await waitFor(() => heard.includes('topic'))
  unwatch()
  admin.disconnect()
})

test('a server that gives the user no channels is quoted at once, and a right that is given later is used', async () => {
  await using server = await startRedis()
  const admin = new Redis(server.url)
  await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', 'resetchannels')
  await using opened = openStore(server.url, { username: 'app', password: 'secret', deadlineMs: 60_000 })
  await expect(opened.store.watch('s', () => undefined)).rejects.toMatchObject({
    code: 'store-failed',
    message: expect.stringMatching(/refused SSUBSCRIBE.*NOPERM/),
  })
  await admin.call('ACL', 'SETUSER', 'app', '&*')
  await expect(opened.store.watch('s', () => undefined)).resolves.toBeDefined()
  admin.disconnect()
})

test('who may not count listeners wakes them all the same', async () => {
  await using server = await startRedis()
  const admin = new Redis(server.url)
  await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', '-pubsub')
  await using opened = openStore(server.url, { username: 'app', password: 'secret' })
  const { store } = opened
  const session = newSession()
  const call = newCall(session.id)
  await store.createSession(session, LIMITS)
  const heard: string[] = []
  await store.watch(session.id, (topic) => heard.push(topic))
  const opening = await store.openCall(call)
  if (opening.status !== 'opened') throw new Error(opening.status)
  const entry = { id: opening.id.replace(/1$/, '2'), data: 'x' }
  expect(await store.appendCall(session.id, call.callId, [entry])).toBe('appended')
  await waitFor(() => heard.includes(`call:${call.callId}`), { what: 'the wake-up' })
  admin.disconnect()
})
