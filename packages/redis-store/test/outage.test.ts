import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '@mcp-durable/core'
import { StoreError } from '@mcp-durable/core/errors'
import { expect, test } from 'vitest'
import { startRedis, waitFor } from '../../../test-support/index.js'
import { HOUR, LIMITS, newCall, newSession, once, openStore } from './support.js'

const DEFAULT_DEADLINE_MS = 5000

const operations: [name: string, run: (store: Store) => Promise<unknown>][] = [
  ['createSession', (store) => store.createSession(newSession(), LIMITS)],
  ['admit', (store) => store.admit('s', 'alice', HOUR)],
  ['keepAlive', (store) => store.keepAlive('s', ['c'], HOUR)],
  ['readSession', (store) => store.readSession('s')],
  ['deleteSession', (store) => store.deleteSession('s', 'alice')],
  ['listSessions', (store) => store.listSessions(undefined, 10)],
  ['putState', (store) => store.putState('s', { key: 'k', data: 'd', nonce: 'n' }, { maxKeys: 9 })],
  ['readState', (store) => store.readState('s', 0)],
  ['append', (store) => store.append('s', 'out', 'x', once())],
  ['read', (store) => store.read('s', 'out', '0-0', 10)],
  ['dropLog', (store) => store.dropLog('s', 'out')],
  ['saveDelivered', (store) => store.saveDelivered('s', '1-1')],
  ['openCall', (store) => store.openCall(newCall('s'))],
  ['appendCall', (store) => store.appendCall('s', 'c', [{ id: '1-1', data: 'x' }])],
  ['findCalls', (store) => store.findCalls('s', '')],
  ['watch', async (store) => (await store.watch('s', () => undefined))()],
  ['publish', (store) => store.publish('s', 'topic', 'value')],
]

async function failure(work: Promise<unknown>) {
  const start = performance.now()
  const error = await work.then(
    () => undefined,
    (cause: unknown) => cause,
  )
  return { error, code: error instanceof StoreError ? error.code : error, ms: performance.now() - start }
}

test('while Redis is down, everything fails at once; when it is back, everything works', async () => {
  await using server = await startRedis({ aof: 'always' })
  await using opened = openStore(server.url, { retryStrategy: () => 1500 })
  const { store, client } = opened
  const session = newSession()
  await store.createSession(session, LIMITS)
  const id = await store.append(session.id, 'out', 'before', once())

  await server.kill()
  await waitFor(() => client.status !== 'ready')
  for (let round = 0; round < 3; round++) {
    for (const [name, run] of operations) {
      // Whatever waits for its deadline ends as `store-timeout`.
      const { code } = await failure(run(store))
      expect({ name, code }).toEqual({ name, code: 'store-unavailable' })
    }
    await sleep(60)
  }

  await server.restart()
  await waitFor(() => client.status === 'ready')
  expect(await store.read(session.id, 'out', '0-0', 10)).toEqual([{ id, data: 'before' }])
  for (const [, run] of operations) await run(store)
})

test('a watch lasts through an outage', async () => {
  await using server = await startRedis({ aof: 'always' })
  await using opened = openStore(server.url, { deadlineMs: 400 })
  const { store, client } = opened
  const heard: string[] = []
  await store.watch('s', (topic, value) => heard.push(`${topic} ${value}`))
  await server.kill()
  await waitFor(() => client.status !== 'ready')

  await server.restart()
  await waitFor(() => heard.includes('resync ') && client.status === 'ready')
  await store.publish('s', 'topic', 'after')
  await waitFor(() => heard.includes('topic after'))
  expect(heard).toEqual(['resync ', 'topic after'])
  await store.watch('t', () => undefined)
})

test('what was under way when Redis went down may be repeated', async () => {
  await using server = await startRedis({ aof: 'always' })
  await using opened = openStore(server.url, { deadlineMs: 300 })
  const { store, client } = opened
  const session = newSession()
  await store.createSession(session, LIMITS)
  const sent = Array.from({ length: 50 }, (_, n) => ({ data: String(n), options: once() }))
  const results = sent.map(({ data, options }) => failure(store.append(session.id, 'out', data, options)))
  await server.kill()
  for (const { code, ms } of await Promise.all(results)) {
    expect([undefined, 'store-timeout']).toContain(code)
    expect(ms).toBeLessThan(DEFAULT_DEADLINE_MS)
  }
  await server.restart()
  await waitFor(() => client.status === 'ready')
  for (const { data, options } of sent) await store.append(session.id, 'out', data, options)
  const entries = await store.read(session.id, 'out', '0-0', 100)
  expect(entries?.map(({ data }) => Number(data)).toSorted((a, b) => a - b)).toEqual(sent.map((_, n) => n))
})

test('[D-4] when Redis hangs, operations end at the deadline, and later ones at once', async () => {
  await using server = await startRedis()
  await using opened = openStore(server.url, { deadlineMs: 300 })
  const { store } = opened
  await store.createSession(newSession(), LIMITS)
  server.pause()
  const hanging = await Promise.all(operations.map(([, run]) => failure(run(store))))
  for (const { code, ms } of hanging) {
    expect(code).toBe('store-timeout')
    expect(ms).toBeGreaterThan(250)
    expect(ms).toBeLessThan(DEFAULT_DEADLINE_MS)
  }
  const later = await Promise.all(operations.map(([, run]) => failure(run(store))))
  expect(later.filter(({ code }) => code === 'store-unavailable').length).toBeGreaterThan(10)

  server.resume()
  const session = newSession()
  await waitFor(() => store.createSession(session, LIMITS))
  for (const [, run] of operations) await run(store)
})

test('a busy event loop is no outage', async () => {
  await using opened = openStore(undefined, { deadlineMs: 500 })
  const { store } = opened
  await store.createSession(newSession(), LIMITS)
  await store.listSessions(undefined, 10)
  for (let round = 0; round < 3; round++) {
    const read = store.listSessions(undefined, 10)
    await new Promise((resolve) => setImmediate(resolve))
    const end = performance.now() + 1000
    while (performance.now() < end);
    expect((await read).ids).toHaveLength(1)
  }
})
