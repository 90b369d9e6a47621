import { setTimeout as sleep } from 'node:timers/promises'
import { BEGINNING } from '@mcp-durable/core/store'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startRedis } from '../../../test-support/index.js'
import {
  HOUR,
  keysOf,
  LIMITS,
  losingProxy,
  newCall,
  newSession,
  once,
  openStore,
  sharedUrl,
} from './support.js'

// ioredis sends a command again when the connection broke before its answer came.

async function lossyStore() {
  const proxy = await losingProxy(Number(new URL(sharedUrl()).port || 6379))
  const opened = openStore(proxy.url)
  const session = newSession()
  await opened.store.createSession(session, LIMITS)
  /** Runs the operation such that its answer is lost, so that it is sent twice. */
  const twice = async <T>(operation: () => Promise<T>): Promise<T> => {
    const before = proxy.lost()
    proxy.loseNextAnswer()
    const result = await operation()
    expect(proxy.lost()).toBe(before + 1)
    return result
  }
  return {
    ...opened,
    scope: session.id,
    twice,
    async [Symbol.asyncDispose]() {
      await opened[Symbol.asyncDispose]()
      await proxy[Symbol.asyncDispose]()
    },
  }
}

test('what is sent twice is applied once', async () => {
  await using lossy = await lossyStore()
  const { store, scope, twice } = lossy

  const other = newSession()
  expect(await twice(() => store.createSession(other, { maxPerPrincipal: 2 }))).toBe('created')
  expect((await store.listSessions(undefined, 10)).ids).toHaveLength(2)

  expect(await twice(() => store.putState(scope, { key: 'k', data: 'x', nonce: 'n' }, { maxKeys: 2 }))).toBe(
    2,
  )
  expect((await store.readSession(scope))?.version).toBe(2)

  const id = await twice(() => store.append(scope, 'out', 'message', once()))
  expect(await store.read(scope, 'out', BEGINNING, 10)).toEqual([{ id, data: 'message' }])

  const call = newCall(scope, { maxOpenCalls: 1 })
  const opened = await twice(() => store.openCall(call))
  expect(opened.status).toBe('opened')
  if (opened.status !== 'opened') return
  const [epoch] = opened.id.split('-')
  const batch = [2, 3].map((seq) => ({ id: `${epoch}-${seq}`, data: String(seq) }))
  expect(await twice(() => store.appendCall(scope, call.callId, batch))).toBe('appended')
  const close = { requestKeys: call.requestKeys, retainMs: HOUR }
  const last = [{ id: `${epoch}-4`, data: '4' }]
  expect(await twice(() => store.appendCall(scope, call.callId, last, close))).toBe('appended')
  const journal = await store.read(scope, `call:${call.callId}`, BEGINNING, 10)
  expect(journal?.map(({ data }) => data)).toEqual(['request', '2', '3', '4'])

  expect(await twice(() => store.deleteSession(scope, 'alice')), 'it was this one that deleted').toBe(true)
  expect(await store.deleteSession(scope, 'alice')).toBe(false)
})

test('quiet entries that go out together are applied once each, though sent twice', async () => {
  await using lossy = await lossyStore()
  const { store, scope, twice } = lossy
  const calls = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const call = newCall(scope)
      const opened = await store.openCall(call)
      if (opened.status !== 'opened') throw new Error(opened.status)
      return { id: call.callId, epoch: Number(opened.id.split('-')[0]) }
    }),
  )
  const append = ({ id, epoch }: { id: string; epoch: number }) =>
    store.appendQuietly(scope, id, [{ id: `${epoch}-2`, data: 'step' }])
  const appended = await twice(() => Promise.all(calls.map(append)))
  expect(appended).toEqual(calls.map(() => 'appended'))
  for (const { id } of calls) {
    const journal = await store.read(scope, `call:${id}`, BEGINNING, 10)
    expect(journal?.map(({ data }) => data)).toEqual(['request', 'step'])
  }
})

test('a resent append of a fenced owner stays fenced', async () => {
  await using lossy = await lossyStore()
  const { store, scope, twice } = lossy
  const call = newCall(scope)
  const opened = await store.openCall(call)
  if (opened.status !== 'opened') throw new Error(opened.status)
  const epoch = Number(opened.id.split('-')[0])
  await store.appendCall(scope, call.callId, [{ id: `${epoch + 1}-1`, data: 'claim' }])
  const late = [{ id: `${epoch}-2`, data: 'late' }]
  expect(await twice(() => store.appendCall(scope, call.callId, late))).toBe('fenced')
})

test('connections that are killed again and again under load duplicate and lose nothing', async () => {
  await using server = await startRedis()
  await using opened = openStore(server.url, { retryStrategy: () => 5 })
  const { store } = opened
  const killer = new Redis(server.url)
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), LIMITS)
  const call = newCall(scope)
  const start = await store.openCall(call)
  if (start.status !== 'opened') throw new Error(start.status)
  const epoch = start.id.split('-')[0]

  const work = new AbortController()
  const kill = async () => {
    while (!work.signal.aborted) {
      await sleep(10)
      await killer.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    }
  }
  const killing = kill()
  const again = async <T>(operation: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await operation()
      } catch (error) {
        expect((error as { code?: string }).code).toMatch(/^store-(unavailable|timeout)$/)
        await sleep(2)
      }
    }
  }
  const numbers = Array.from({ length: 400 }, (_, i) => i)
  const workers = Array.from({ length: 8 }, async (_, worker) => {
    for (const n of numbers.filter((number) => number % 8 === worker)) {
      const options = once()
      expect(await again(() => store.append(scope, 'out', String(n), options))).toBeDefined()
      const nonce = `state ${n}`
      await again(() => store.putState(scope, { key: `k${n}`, data: '', nonce }, { maxKeys: 1000 }))
    }
  })
  const owner = async () => {
    for (const n of numbers) {
      const entry = { id: `${epoch}-${n + 2}`, data: String(n) }
      expect(await again(() => store.appendCall(scope, call.callId, [entry]))).toBe('appended')
    }
  }
  await Promise.all([...workers, owner()])
  work.abort()
  await killing
  killer.disconnect()

  const out = await again(() => store.read(scope, 'out', BEGINNING, 1000))
  expect(out?.map(({ data }) => Number(data)).toSorted((a, b) => a - b)).toEqual(numbers)
  const journal = await again(() => store.read(scope, `call:${call.callId}`, start.id, 1000))
  expect(journal?.map(({ data }) => Number(data))).toEqual(numbers)
  expect((await again(() => store.readSession(scope)))?.version).toBe(401)
})

test('nothing of a test is left without an expiry after a resend', async () => {
  await using lossy = await lossyStore()
  const { store, scope, twice, client, prefix } = lossy
  await twice(() => store.append(scope, 'out', 'x', once()))
  for (const key of await keysOf(client, prefix)) expect(await client.pttl(key)).toBeGreaterThan(0)
})
