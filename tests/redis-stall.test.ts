import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startRedis, waitFor, type RedisServer } from '../test-support/index.js'
import { majors } from './support/client.js'
import { SessionKeys } from './support/journals.js'
import { RawSession } from './support/raw.js'
import { System } from './support/system.js'

// Redis is there but says nothing for a while, or drops the connections over which wake-ups come.

let server: RedisServer
let redis: Redis
beforeEach(async () => {
  server = await startRedis()
  redis = new Redis(server.url)
})
afterEach(async () => {
  redis.disconnect()
  await server[Symbol.asyncDispose]()
})

test('[G-15] [G-16] a request that Redis did not answer in time has run nothing, then or later', async () => {
  await using system = await System.start({ redis: server.url, storeOptions: { deadlineMs: 300 } })
  const [a, b] = system.abc
  const session = await RawSession.begin(a)
  await (
    await session.call(a, 'who')
  ).ended
  const pay = (id: string) => session.call(a, 'effect', { name: id }, id)

  server.pause()
  const refused = await Promise.all(['one', 'two', 'three'].map((id) => pay(id)))
  server.resume()

  expect(refused.map(({ status }) => status)).toEqual([503, 503, 503])
  const keys = new SessionKeys(redis, system.prefix, session.id)
  // What Redis did with the commands in the end is undone: nothing stays open.
  const isOpen = (field: string) => /^[or]:/.test(field)
  await waitFor(async () => !(await redis.hkeys(keys.session)).some(isOpen), { what: 'no open call' })
  for (const records of (await keys.journals()).values())
    expect(records.at(-1)?.kind).toMatch(/^(response|cancelled)$/)
  expect(await system.ledger('effect')).toEqual([])

  // The same request again is a new one.
  for (const node of [a, b])
    await waitFor(async () => (await session.post(node, { id: 0, method: 'ping' })).ok)
  const retried = await pay('one')
  expect(await retried.ended).toBe('graceful')
  expect(retried.messages.at(-1)?.result).toBeDefined()
  expect(await system.ledger('effect')).toHaveLength(1)
})

test('[R-2] a running call outlasts a Redis that says nothing for longer than the deadline', async () => {
  await using system = await System.start({ redis: server.url, storeOptions: { deadlineMs: 300 } })
  const [a, b] = system.abc
  const router = (await system.router(a)).route(b, 'GET')
  const client = await (await system.client(1, router)).listens()

  const saying = client.call('say', { texts: ['one', 'two'], gate: 'stall' })
  await waitFor(async () => (await system.ledger('at the gate', 'stall')).length === 1)
  server.pause()
  await system.openGate('stall')
  await expect(client.call('who')).rejects.toThrow('Service Unavailable')
  await expect(client.call('who')).rejects.toThrow('Service Unavailable')
  server.resume()

  expect(await saying).toEqual({ text: 'one two', pid: a.pid })
  expect(client.heard).toEqual(['one', 'two'])
})

test.each(majors)(
  'client %i.x: [C-6] no wake-up is needed twice: broken subscriptions lose no message',
  async (major) => {
    await using system = await System.start({ sdk: major, redis: server.url })
    const [a, b] = system.abc
    const router = (await system.router(a)).route(b, 'GET', 'resume')
    const client = await (await system.client(major, router)).listens()
    const gate = 'subscriptions'

    const saying = client.call('say', { texts: ['within a call'], gate })
    await client.primed()
    router.cut('tools/call')
    await router.answered('resume')
    expect(await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub')).toBeGreaterThan(0)
    await client.call('announce', { text: 'standalone' })
    await system.openGate(gate)

    expect((await saying).text).toBe('within a call')
    await client.hears('standalone')
    expect(new Set(client.heard)).toEqual(new Set(['standalone', 'within a call']))
    expect(client.heard).toHaveLength(2)
  },
)
