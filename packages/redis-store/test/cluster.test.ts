import { randomUUID } from 'node:crypto'
import { storeContract } from '@mcp-durable/core/testing/store'
import { redisStore } from '@mcp-durable/redis-store'
import { Cluster } from 'ioredis'
import { Cluster as Cluster5 } from 'ioredis5'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startRedisCluster, type RedisCluster } from '../../../test-support/index.js'
import { counted, LIMITS, newCall, newSession } from './support.js'

let cluster: RedisCluster
beforeAll(async () => void (cluster = await startRedisCluster({ masters: 3 })))
afterAll(() => cluster[Symbol.asyncDispose]())

for (const [name, connect] of [
  ['ioredis 6', () => new Cluster(cluster.nodes)],
  ['ioredis 5', () => new Cluster5(cluster.nodes)],
] as const) {
  storeContract(`[D-3] Redis Cluster, ${name}`, () => {
    const prefix = `test-${randomUUID()}`
    const clients = [connect(), connect()]
    const [store, peer] = clients.map((client) => redisStore(client, { prefix }))
    return {
      store: store!,
      peer: peer!,
      dispose: async () => clients.forEach((client) => client.disconnect()),
    }
  })
}

test('quiet entries of one session are one command, so that none of them is missing before another', async () => {
  const { client, sent } = counted(cluster.client())
  const store = redisStore(client, { prefix: `test-${randomUUID()}` })
  const journals = await Promise.all(
    [newSession(), newSession()].map(async (session) => {
      await store.createSession(session, LIMITS)
      const call = newCall(session.id)
      const opening = await store.openCall(call)
      if (opening.status !== 'opened') throw new Error(opening.status)
      return { ...call, first: opening.id }
    }),
  )
  const append = (...seqs: number[]) =>
    Promise.all(
      seqs.flatMap((seq) =>
        journals.map(({ scope, callId, first }) => {
          const ids = [seq, seq + 1].map((at) => first.replace(/1$/, String(at)))
          return store.appendQuietly(
            scope,
            callId,
            ids.map((id) => ({ id, data: 'x' })),
          )
        }),
      ),
    )
  // The first time, the script is new to the servers.
  await append(2)
  sent.length = 0

  const outcomes = await append(4)

  expect(outcomes).toEqual(['appended', 'appended'])
  expect(sent).toEqual(['evalsha', 'evalsha'])
  for (const { scope, callId, first } of journals) {
    const read = await store.read(scope, `call:${callId}`, '0-0', 10)
    expect(read?.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5].map((seq) => first.replace(/1$/, String(seq))))
  }
  await store.close()
})
