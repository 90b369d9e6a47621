import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startRedis, waitFor } from '../../../test-support/index.js'
import type { RedisServer } from '../../../test-support/index.js'
import { LIMITS, newSession, once, openStore } from './support.js'

const WAYS = [
  ['plain', 'without SPUBLISH', ['-spublish']],
  ['plain', 'without SSUBSCRIBE', ['-ssubscribe']],
  ['polled', 'without SSUBSCRIBE and SUBSCRIBE', ['-ssubscribe', '-subscribe']],
  ['polled', 'without pub/sub', ['-@pubsub']],
] as const

describe.each(WAYS)('[N-2] wake-ups are %s on a server %s', (way, _, lacking) => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
    const admin = new Redis(server.url)
    await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all', ...lacking)
    admin.disconnect()
  })
  afterAll(() => server[Symbol.asyncDispose]())
  const user = { username: 'app', password: 'secret' }

  test('what another node appends, says and deletes is heard', async () => {
    const prefix = `test-${randomUUID()}`
    await using one = openStore(server.url, { ...user, prefix })
    await using other = openStore(server.url, { ...user, prefix })
    const { id } = newSession()
    await one.store.createSession(newSession({ id }), LIMITS)
    const heard: string[] = []
    await other.store.watch(id, (topic, value) => heard.push(`${topic} ${value}`))
    // A node learns from its first beat which way it has to go.
    await other.store.beat('other')
    await one.store.publish(id, 'topic', 'of two words')
    await waitFor(() => heard.includes('topic of two words'), { what: 'what was said' })
    heard.length = 0
    const entry = await one.store.append(id, 'out', 'x', once())
    await waitFor(() => heard.includes(way === 'polled' ? 'resync ' : `out ${entry}`), { what: 'the entry' })
    await one.store.deleteSession(id, 'alice')
    await waitFor(() => heard.includes('deleted '), { what: 'the deletion' })
    expect(heard.filter((news) => news === 'deleted ')).toHaveLength(1)
    expect(await other.store.isWatched!(id).catch(({ code }) => code as string)).toBe(
      way === 'polled' ? 'store-failed' : true,
    )
  })

  test('what is said before somebody listens, or after, is not heard', async () => {
    await using opened = openStore(server.url, user)
    const { store } = opened
    const [scope, beside] = [randomUUID(), randomUUID()]
    await store.publish(scope, 'before', '')
    const heard: string[] = []
    await store.beat('node')
    const unwatch = await store.watch(scope, (topic) => heard.push(topic))
    await store.publish(scope, 'now', '')
    await waitFor(() => heard.includes('now'), { what: 'the news' })
    unwatch()
    heard.length = 0
    const seen: string[] = []
    await store.watch(beside, (topic) => seen.push(topic))
    await store.publish(scope, 'after', '')
    await store.publish(beside, 'later', '')
    await waitFor(() => seen.includes('later'), { what: 'later news' })
    expect([...heard, ...seen].filter((topic) => topic !== 'resync')).toEqual(['later'])
  })
})
