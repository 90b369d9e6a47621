import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { waitFor } from '../test-support/index.js'
import { majors } from './support/client.js'
import { SessionKeys } from './support/journals.js'
import { RawSession, type JsonRpc } from './support/raw.js'
import { System } from './support/system.js'

// How long a session lives, and on which nodes.

let redis: Redis
beforeAll(() => void (redis = new Redis(process.env['REDIS_URL'] ?? '')))
afterAll(() => redis.disconnect())

describe('over two nodes', () => {
  let system: System
  beforeAll(async () => void (system = await System.start({ nodes: 2, options: { sessionTtlMs: 6_000 } })))
  afterAll(() => system[Symbol.asyncDispose]())

  test.each(majors)('client %i.x: [C-18] 200 calls at once', async (major) => {
    const router = await system.router()
    const client = await system.client(major, router)
    const numbers = Array.from({ length: 200 }, (_, index) => index)

    const results = await Promise.all(numbers.map((n) => client.call('effect', { name: `${major}-${n}` })))

    expect(results.map(({ text }) => text)).toEqual(numbers.map((n) => `${major}-${n}`))
    expect(new Set(results.map(({ pid }) => pid)).size).toBe(2)
    const effects = (await system.ledger('effect')).map(({ detail }) => detail)
    for (const n of numbers) expect(effects.filter((name) => name === `${major}-${n}`)).toHaveLength(1)
    expect(new Set(client.tap.ids).size).toBe(client.tap.ids.length)
  })

  test.each(majors)('client %i.x: [C-19] a result of 2 MiB, resumed on the other node', async (major) => {
    const [a, b] = system.abc
    const router = (await system.router(a)).route(b, 'resume')
    const client = await system.client(major, router)
    const bytes = 2 * 1024 * 1024
    const gate = `big-${major}`

    const direct = await client.call('big', { bytes })
    const since = client.tap.events.items.length
    const big = client.call('big', { bytes, gate })
    await client.primed(since)
    expect(router.cut('tools/call')).toBe(1)
    await router.answered('resume')
    await system.openGate(gate)

    expect(direct.text).toHaveLength(bytes)
    expect((await big).text).toBe('x'.repeat(bytes))
    expect((await big).pid).toBe(a.pid)
    expect(router.nodesOf('resume')).toEqual([b.name])
  })

  test('[S-3] use slides the expiry', async () => {
    const [a, b] = system.abc
    const session = await RawSession.begin(a)
    const keys = new SessionKeys(redis, system.prefix, session.id)
    for (const use of [
      () => session.post(b, { id: 1, method: 'ping' }),
      () => session.post(b, { method: 'notifications/roots/list_changed' }),
      async () => (await session.call(b, 'who')).ended,
      async () => (await session.get(b)).close(),
    ]) {
      await redis.pexpire(keys.session, 3_000)
      await use()
      expect(await keys.expiresIn()).toBeGreaterThan(3_000)
    }
  })

  test('[S-3] an open stream slides the expiry', async () => {
    const [a, b] = system.abc
    const session = await RawSession.begin(a)
    const keys = new SessionKeys(redis, system.prefix, session.id)
    const stream = await session.get(b)

    for (let times = 0; times < 2; times++) {
      await redis.pexpire(keys.session, 4_000)
      await waitFor(async () => (await keys.expiresIn()) > 4_000, { what: 'a later expiry' })
    }
    stream.close()
  })

  test('[S-9] [S-11] DELETE ends the session on every node', async () => {
    const [a, b] = system.abc
    const session = await RawSession.begin(a)
    const other = await RawSession.begin(a)
    const streams = [await session.get(a), await session.call(b, 'hang', { name: 'deleted' })]
    await system.recorded('hanging', 'deleted')

    expect((await session.delete(a)).status).toBe(200)

    expect(await Promise.all(streams.map(({ ended }) => ended))).toEqual(['graceful', 'graceful'])
    await system.recorded('aborted', 'deleted')
    for (const node of [a, b]) {
      const ping = await session.post(node, { id: 7, method: 'ping' })
      expect([ping.status, ((await ping.json()) as JsonRpc).error?.code]).toEqual([404, -32001])
      expect((await session.get(node)).status).toBe(404)
      expect((await session.delete(node)).status).toBe(404)
      expect((await other.post(node, { id: 7, method: 'ping' })).status).toBe(200)
    }
    // Journals of finished calls can't be read without the session, and expire by themselves.
    const keys = new SessionKeys(redis, system.prefix, session.id)
    expect(await keys.all()).toEqual([])
    expect(await keys.lasting()).toEqual([])
  })
})

test('[S-2] [S-11] a session that nobody uses expires, and leaves nothing in Redis', async () => {
  await using system = await System.start({
    nodes: 2,
    options: { sessionTtlMs: 2_000, resumeWindowMs: 1_000 },
  })
  const [a, b] = system.abc
  const session = await RawSession.begin(a)
  const stream = await session.call(a, 'who')
  await stream.ended
  await session.call(b, 'announce', { text: 'to nobody' })
  // A call whose node dies with a question open.
  await (await session.call(b, 'ask')).events.atLeast(2)
  await b.kill('SIGKILL')
  const keys = new SessionKeys(redis, system.prefix, session.id)
  expect((await keys.all()).length).toBeGreaterThan(1)

  expect(await keys.lasting()).toEqual([])

  await waitFor(async () => (await keys.all()).length === 0, { what: 'the end of all keys' })

  expect((await session.post(a, { id: 1, method: 'ping' })).status).toBe(404)
  expect((await session.get(a)).status).toBe(404)
  expect((await session.get(a, stream.ids[0])).status).toBe(404)
})

test.each(majors)(
  'client %i.x: [S-7] [S-5] idle server objects go, streams and settings stay',
  async (major) => {
    await using system = await System.start({ sdk: major, nodes: 2, options: { serverIdleMs: 100 } })
    const [a, b] = system.abc
    const router = (await system.router(a)).route(b, 'GET')
    const client = await (await system.client(major, router)).listens()
    const object = async () => (JSON.parse((await client.call('seen')).text) as { object: string }).object
    await client.api.setLevel('error')
    await client.api.subscribe('test://greeting')

    const first = await object()
    await waitFor(async () => (await object()) !== first, { intervalMs: 400, what: 'another server object' })
    await client.call('log', { level: 'warning', data: 'hidden' })
    await client.call('log', { level: 'error', data: 'shown' })
    await client.hears('shown')
    await client.call('update-resource', { uri: 'test://greeting' })
    await client.notifications.first(({ method }) => method === 'notifications/resources/updated')

    expect(client.heard).toEqual(['shown'])
    expect(router.exchanges.items.filter(({ kind }) => kind === 'GET' || kind === 'resume')).toHaveLength(1)
  },
)
