import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError } from '@mcp-durable/core/errors'
import { redisStore } from '@mcp-durable/redis-store'
import { expect, test } from 'vitest'
import { startRedisCluster, waitFor } from '../../../test-support/index.js'
import { LIMITS, newCall, newSession, once, waitForReplicas } from './support.js'

const DEFAULT_DEADLINE_MS = 5000
const OPTIONS = { masters: 3, replicas: 1 } as const

async function again<T>(operation: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await operation()
    } catch (error) {
      expect(error).toBeInstanceOf(StoreError)
      expect((error as StoreError).code).not.toBe('store-failed')
      await sleep(20)
    }
  }
}

test('when a master fails over, writes go on once each, and wake-ups come again', async () => {
  await using cluster = await startRedisCluster(OPTIONS)
  const prefix = `test-${randomUUID()}`
  const [store, peer] = [1, 2].map(() => redisStore(cluster.client(), { prefix, deadlineMs: 1000 })) as [
    ReturnType<typeof redisStore>,
    ReturnType<typeof redisStore>,
  ]
  const scopes = Array.from({ length: 24 }, () => randomUUID())
  const heard = new Map(scopes.map((scope) => [scope, [] as string[]]))
  for (const scope of scopes) {
    await store.createSession(newSession({ id: scope }), LIMITS)
    await peer.watch(scope, (topic, value) => heard.get(scope)?.push(`${topic} ${value}`))
  }
  const [first = randomUUID()] = scopes
  const call = newCall(first)
  const opened = await store.openCall(call)
  if (opened.status !== 'opened') throw new Error(opened.status)
  const epoch = opened.id.split('-')[0]
  await waitForReplicas(cluster.servers.map(({ port }) => port))

  const killing = cluster.killMaster(`${prefix}:{${first}}`)
  const numbers = Array.from({ length: 60 }, (_, n) => n)
  const appendAll = scopes.map(async (scope) => {
    for (const n of numbers) {
      const options = once()
      await again(() => store.append(scope, 'out', String(n), options))
    }
  })
  const owner = async () => {
    for (const n of numbers) {
      const entry = { id: `${epoch}-${n + 2}`, data: String(n) }
      expect(await again(() => store.appendCall(first, call.callId, [entry]))).toBe('appended')
    }
  }
  await Promise.all([...appendAll, owner(), killing])

  for (const scope of scopes) {
    const out = await again(() => peer.read(scope, 'out', '-', 100))
    const data = out?.map((entry) => Number(entry.data)) ?? []
    expect(new Set(data).size, 'no number twice').toBe(data.length)
    expect(data.at(-1)).toBe(59)
  }
  const journal = await again(() => peer.read(first, `call:${call.callId}`, opened.id, 100))
  expect(journal?.at(-1)?.data).toBe('59')

  await waitFor(() => heard.get(first)?.includes('resync '), { what: 'resync' })
  for (const scope of scopes) {
    let n = 0
    await waitFor(
      async () => {
        await again(() => store.publish(scope, 'after', String(n++)))
        return heard.get(scope)?.some((message) => message.startsWith('after '))
      },
      { what: `wake-ups of ${scope}`, intervalMs: 100 },
    )
  }
  // Once subscriptions have settled, nothing is missed and nothing comes twice.
  await sleep(1500)
  for (const scope of scopes) await store.publish(scope, 'settled', 'now')
  await waitFor(() => [...heard.values()].every((messages) => messages.includes('settled now')))
  for (const messages of heard.values()) {
    expect(messages.filter((message) => message === 'settled now')).toHaveLength(1)
  }
  await Promise.all([store.close(), peer.close()])
})

test('while a master is away, operations end in time with an error; when it is back, all works', async () => {
  await using cluster = await startRedisCluster({ masters: 3, aof: 'always' })
  const prefix = `test-${randomUUID()}`
  const store = redisStore(cluster.client(), { prefix, deadlineMs: 1000 })
  const scope = randomUUID()
  await store.createSession(newSession({ id: scope }), LIMITS)
  const heard: string[] = []
  await store.watch(scope, (topic) => heard.push(topic))
  const server = await cluster.killMaster(`${prefix}:{${scope}}`)
  for (let round = 0; round < 5; round++) {
    const start = performance.now()
    const error: unknown = await store.append(scope, 'out', 'x', once()).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(StoreError)
    expect((error as StoreError).code).not.toBe('store-failed')
    expect(performance.now() - start).toBeLessThan(DEFAULT_DEADLINE_MS)
  }
  await server.restart()
  await again(() => store.append(scope, 'out', 'back', once()))
  await waitFor(() => heard.includes('resync'), { what: 'resync' })
  await again(() => store.publish(scope, 'after', ''))
  await waitFor(() => heard.includes('after'), { what: 'a wake-up' })
  await store.close()
})
