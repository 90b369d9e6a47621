import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { majors } from './support/client.js'
import { SessionKeys } from './support/journals.js'
import { RawSession, type JsonRpc } from './support/raw.js'
import { System } from './support/system.js'

// Whose session it is, on whichever node, and what of the caller's authorization is kept where.

const ALICE = 'alice:first-secret'
const ALICE_LATER = 'alice:second-secret'
const MALLORY = 'mallory:other-secret'

let redis: Redis
beforeAll(() => void (redis = new Redis(process.env['REDIS_URL'] ?? '')))
afterAll(() => redis.disconnect())

describe.each(majors)('server objects of SDK %i.x', (sdk) => {
  let system: System
  beforeAll(async () => void (system = await System.start({ sdk, nodes: 2 })))
  afterAll(() => system[Symbol.asyncDispose]())

  test.each(majors)(
    'client %i.x: [U-10] [G-10] auth info on each node, over a token refresh',
    async (major) => {
      const [a, b] = system.abc
      const router = await system.router(a)
      const client = await system.client(major, router, ALICE)
      const auth = async () => JSON.parse((await client.call('auth')).text) as unknown

      expect(await auth()).toMatchObject({ token: ALICE, clientId: 'alice' })
      router.others(b)
      client.tap.token = ALICE_LATER
      expect(await auth()).toMatchObject({ token: ALICE_LATER, clientId: 'alice' })
    },
  )

  test.each(majors)('client %i.x: [G-9] nobody else reads, disturbs or ends the session', async (major) => {
    const [a, b] = system.abc
    const router = (await system.router(a)).route(b, 'GET')
    const client = await (await system.client(major, router, ALICE)).listens()
    const gate = `foreign-${sdk}-${major}`
    const saying = client.call('say', { texts: [gate], gate })
    const { id: cursor } = await client.primed()
    const keys = new SessionKeys(redis, system.prefix, client.sessionId)
    const before = await keys.contents()

    for (const token of [MALLORY, undefined]) {
      const thief = new RawSession(client.sessionId, token)
      for (const node of [a, b]) {
        const answers = [
          await thief.post(node, {
            id: 1,
            method: 'tools/call',
            params: { name: 'effect', arguments: { name: gate } },
          }),
          await thief.post(node, { id: 1, method: 'tools/list' }),
          await thief.post(node, { method: 'notifications/cancelled', params: { requestId: 1 } }),
          await thief.post(node, { method: 'notifications/roots/list_changed' }),
          await thief.post(node, { id: `${cursor?.split('.')[0]}.1`, result: {} }),
          await thief.delete(node),
        ]
        for (const answer of answers) {
          expect([answer.status, ((await answer.json()) as JsonRpc).error?.code]).toEqual([404, -32001])
        }
        expect((await thief.get(node)).status).toBe(404)
        expect((await thief.get(node, cursor)).status).toBe(404)
      }
    }

    expect(await keys.contents()).toEqual(before)
    await system.openGate(gate)
    expect((await saying).text).toBe(gate)
    expect(await system.ledger('effect', gate)).toEqual([])
    expect(client.router.exchanges.items.filter(({ kind }) => kind === 'resume')).toEqual([])
  })
})

test.each([
  { keepToken: undefined, kept: false },
  { keepToken: true, kept: true },
])('[U-11] keepToken $keepToken: the token is in Redis: $kept', async ({ keepToken, kept }) => {
  await using system = await System.start({ nodes: 1, options: { keepToken } })
  const client = await (await system.client(1, await system.router(), ALICE)).listens()
  await client.call('who')
  await client.call('ask')
  await client.call('announce', { text: 'in the log' })

  const stored = Object.values(await new SessionKeys(redis, system.prefix, client.sessionId).contents())

  expect(stored.some((text) => text.includes('clientId'))).toBe(true)
  expect(stored.some((text) => text.includes('first-secret'))).toBe(kept)
})

test('[G-14] the log of a node shows no session id, token or payload', async () => {
  await using system = await System.start({
    redis: 'redis://127.0.0.1:1',
    nodes: 1,
    storeOptions: { deadlineMs: 200 },
  })
  const [node] = system.abc
  const session = new RawSession('SessionIdOf22Character', ALICE)

  for (const text of ['{"payload of the client"', JSON.stringify({ payload: 'payload of the client' })]) {
    await fetch(`${node.url}/mcp`, { method: 'POST', body: text })
  }
  await session.post(node, { id: 1, method: 'tools/call', params: { name: 'payload of the client' } })
  await session.post(node, {
    method: 'notifications/roots/list_changed',
    params: { is: 'payload of the client' },
  })
  await session.get(node, 'out.1-1')
  await node.kill('SIGTERM')

  expect(node.output).toContain('[mcp-durable] warn')
  for (const secret of [session.id, 'first-secret', 'payload of the client']) {
    expect(node.output).not.toContain(secret)
  }
})
