import { randomBytes, randomUUID } from 'node:crypto'
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { redisStore } from '@mcp-durable/redis-store'
import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import { file } from '@mcp-durable/sqlite-store'
import { Redis } from 'ioredis'
import { describe, expect, test } from 'vitest'
import { durable, memoryStore, principalState, sealedStore, sessionState } from '../../src/index.js'
import { reseal } from '../../src/inspect/index.js'
import { BEGINNING } from '../../src/store/index.js'
import type { Store } from '../../src/store/index.js'
import { HOUR, newCall, newSession, NO_LIMIT, once } from '../../src/testing/stores.js'
import { durableServer } from '../support/durable-server.js'
import { startNodes } from '../support/nodes.js'
import { Session } from '../support/session.js'

const [old, next] = [randomBytes(32), randomBytes(32)]
const forgotten = { name: 'SealError', code: 'store-forgotten' }
const keeping = { keepMs: HOUR, maxEntries: 100 }

/** Something of everything that a principal has, in a session or without. */
async function fill(store: Store, principal = 'alice') {
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope, principal }), NO_LIMIT)
  const call = newCall(scope, { principal })
  const opened = await store.openCall(call)
  if (opened.status !== 'opened') throw new Error(opened.status)
  const epoch = Number.parseInt(opened.id, 10)
  await store.appendCall(scope, call.callId, [{ id: `${epoch}-2`, data: 'a result' }])
  await store.appendQuietly(scope, call.callId, [{ id: `${epoch}-3`, data: 'a step' }])
  await store.append(scope, 'out', 'told', once())
  await sessionState(store, scope).set('a note')
  await principalState(store, principal).set('a habit')
  const alone = newCall(randomUUID(), { principal, begins: { protocolVersion: '2026-07-28' } })
  await store.openCall(alone)
  return { scope, callId: call.callId, principal, alone }
}

type Filled = Awaited<ReturnType<typeof fill>>

/** Each way to read of it. */
const looks = ({ scope, callId, principal, alone }: Filled) => ({
  session: (store: Store) => store.readSession(scope),
  journal: (store: Store) => store.read(scope, `call:${callId}`, BEGINNING, 9),
  said: (store: Store) => store.read(scope, 'out', BEGINNING, 9),
  state: (store: Store) => sessionState(store, scope).get(),
  'state of the principal': (store: Store) => principalState(store, principal).get(),
  'a call without a session': (store: Store) => store.read(alone.scope, `call:${alone.callId}`, BEGINNING, 9),
  history: (store: Store) => store.history(scope, { limit: 9 }),
})

/** What becomes of each look. */
async function looked(store: Store, filled: Filled) {
  const all = Object.entries(looks(filled)).map(async ([what, look]) => [
    what,
    await look(store).then(
      (found) => (JSON.stringify(found) === '[]' || found === undefined ? 'nothing' : 'read'),
      (error: { code?: string }) => error.code,
    ),
  ])
  return Object.fromEntries(await Promise.all(all)) as Record<string, string>
}
const every = (outcome: string) =>
  Object.fromEntries(Object.keys(looks({} as Filled)).map((what) => [what, outcome]))

/** `backUp`: from then on `restored` is the store as it was. */
type Place = AsyncDisposable & { store(): Store; backUp(): Promise<void>; restored(): Promise<Store> }

function redisPlace(): Place {
  const redis = new Redis(process.env['REDIS_URL'] ?? '')
  const prefix = `test-${randomUUID()}`
  let dumps: [key: string, dump: Buffer][] = []
  const keys = () => redis.keys(`${prefix}*`)
  return {
    store: () => redisStore(redis, { prefix }),
    backUp: async () => {
      dumps = await Promise.all(
        (await keys()).map(async (key) => [key, await redis.dumpBuffer(key)] as [string, Buffer]),
      )
    },
    restored: async () => {
      for (const [key, dump] of dumps) await redis.restore(key, HOUR, dump, 'REPLACE')
      return redisStore(redis, { prefix })
    },
    async [Symbol.asyncDispose]() {
      const all = await keys()
      if (all.length > 0) await redis.unlink(...all)
      redis.disconnect()
    },
  }
}

function sqlitePlace(): Place {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-durable-'))
  const [path, copy] = [join(folder, 'mcp.db'), join(folder, 'copy.db')]
  const stores: Store[] = []
  const opened = (which: string) => {
    const store = file(which)
    stores.push(store)
    return store
  }
  return {
    store: () => opened(path),
    backUp: async () => {
      for (const end of ['', '-wal']) if (existsSync(path + end)) copyFileSync(path + end, copy + end)
    },
    restored: async () => opened(copy),
    async [Symbol.asyncDispose]() {
      await Promise.all(stores.map((store) => store.close()))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

describe.each([
  ['Redis', redisPlace],
  ['a file', sqlitePlace],
] as const)('a principal is forgotten, %s', (_, placeOf) => {
  test('what a backup holds of it can not be read any more, with every key', async () => {
    await using place = placeOf()
    const secrets = memoryStore()
    const seal = { keys: [old], secrets, plain: 'refuse' as const }
    const [node, peer] = [place.store(), place.store()].map((store) =>
      sealedStore(store, seal).open({ keeping }),
    ) as [Store, Store]
    const [alice, bob] = [await fill(node), await fill(node, 'bob')]
    expect(await looked(peer, alice)).toEqual(every('read'))
    await place.backUp()
    await peer.forget({ principal: 'alice' })
    expect(await looked(node, alice)).toEqual(every('nothing'))
    expect(await looked(sealedStore(await place.restored(), seal), alice)).toEqual(every('store-forgotten'))
    expect(await looked(node, bob)).toEqual(every('read'))

    // What was restored is forgotten again. One who comes back has another secret: what was forgotten stays so.
    await peer.forget({ principal: 'alice' })
    const again = await fill(peer)
    expect(await looked(sealedStore(place.store(), seal), again)).toEqual(every('read'))
    const restored = sealedStore(await place.restored(), seal)
    expect((await looked(restored, alice))['journal']).toBe('store-forgotten')
  })
})

test('a node that dies half-way leaves nothing that anybody can read', async () => {
  const [raw, secrets] = [memoryStore(), memoryStore()]
  const seal = { keys: [old], secrets }
  const alice = await fill(sealedStore(raw, seal))
  const dying = Object.assign(raw.open({}), { forget: () => Promise.reject(new Error('killed')) })
  await expect(sealedStore(dying, seal).forget({ principal: 'alice' })).rejects.toThrow('killed')
  const other = sealedStore(raw, seal)
  expect(await looked(other, alice)).toEqual({ ...every('store-forgotten'), history: 'nothing' })
  expect(await other.forget({ principal: 'alice' })).toMatchObject({ sessions: 1 })
  expect(await looked(other, alice)).toEqual(every('nothing'))
})

test('two nodes that make the first secret at once have the same one', async () => {
  const [raw, secrets] = [memoryStore(), memoryStore()]
  const nodes = [1, 2, 3].map(() => sealedStore(raw.open({ keeping }), { keys: [old], secrets }))
  const filled = await Promise.all(nodes.map((node) => fill(node)))
  for (const node of nodes) for (const each of filled) expect(await looked(node, each)).toEqual(every('read'))
})

test('what was sealed before there were secrets is read, and who has no secrets is told', async () => {
  const [raw, secrets] = [memoryStore(), memoryStore()]
  const before = sealedStore(raw.open({ keeping }), { keys: [old] })
  const after = sealedStore(raw.open({ keeping }), { keys: [old], secrets })
  const first = await fill(before)
  expect(await looked(after, first)).toEqual(every('read'))
  await after.append(first.scope, 'out', 'more', once())
  await expect(before.read(first.scope, 'out', BEGINNING, 9)).rejects.toMatchObject({
    code: 'store-sealed',
    message: expect.stringContaining('`seal.secrets`') as string,
  })
  expect(await after.read(first.scope, 'out', BEGINNING, 9)).toHaveLength(2)
})

test('secrets are sealed with the keys, and again when these are rotated', async () => {
  const redis = new Redis(process.env['REDIS_URL'] ?? '')
  const prefix = `test-${randomUUID()}`
  const secrets = redisStore(redis, { prefix })
  const raw = memoryStore()
  const alice = await fill(sealedStore(raw, { keys: [old], secrets }))
  const both = { keys: [next, old] }
  expect(await reseal(inspectRedis(redis, { prefix }), secrets, both)).toMatchObject({ resealed: 1 })
  const [scope = ''] = (await redis.keys(`${prefix}:*:state`)).map((key) => /\{(.*)\}/.exec(key)?.[1])
  expect(await redis.hvals(`${prefix}:{${scope}}:state`)).toContainEqual(
    expect.stringContaining('sealed:1:') as string,
  )
  // What the journal was sealed with is an old key and the secret, which is sealed with the new one.
  expect((await looked(sealedStore(raw, { ...both, secrets }), alice))['journal']).toBe('read')
  const lost = sealedStore(raw, { keys: [old], secrets })
  await expect(looks(alice).journal(lost)).rejects.toMatchObject({ code: 'store-sealed' })
  await sealedStore(raw, { ...both, secrets }).forget({ principal: 'alice' })
  expect(await redis.keys(`${prefix}:*:state`)).toEqual([])
  redis.disconnect()
})

test('secrets are another store, which is not sealed', () => {
  const [store, server] = [memoryStore(), () => durableServer(async () => '')]
  const another = /`secrets` is another store/
  expect(() => sealedStore(store, { keys: [old], secrets: store })).toThrow(another)
  expect(() => durable({ server, store, seal: { keys: [old], secrets: store } })).toThrow(another)
  const sealed = sealedStore(memoryStore(), { keys: [old] })
  expect(() => sealedStore(store, { keys: [old], secrets: sealed })).toThrow(another)
  expect(() => sealedStore(store, { keys: [old], secrets: 'redis://' as never })).toThrow('another store')
})

test.each(['memory', 'redis'] as const)('nodes with secrets, %s', async (store) => {
  const seal = { keys: [old], secrets: memoryStore(), plain: 'refuse' as const }
  await using nodes = await startNodes({ store, settings: { seal } })
  const session = await Session.begin(nodes, { who: 'alice/1' })
  expect(await session.result('echo', { text: 'on' }, { node: 1 })).toBe('on')
  await using call = await session.call('wait', { gate: 'g' }, { node: 1 })
  await nodes.world.happened.until('started g')
  const node = sealedStore(nodes.stores[0]!, seal)
  await node.forget({ principal: 'alice' })
  await nodes.world.happened.until('aborted g')
  expect(await call.messages()).toEqual([])
  expect((await session.request('ping')).status).toBe(404)
  const again = await Session.begin(nodes, { who: 'alice/1' })
  expect((await again.request('ping')).status).toBe(200)
})

test('a session of which the secret is gone is gone for its client', async () => {
  const seal = { keys: [old], secrets: memoryStore() }
  await using nodes = await startNodes({ settings: { seal }, store: 'redis' })
  const session = await Session.begin(nodes, { who: 'alice/1' })
  const dying = Object.assign(memoryStore(), { forget: async () => ({ sessions: 0, calls: 0, entries: 0 }) })
  await sealedStore(dying, seal).forget({ principal: 'alice' })
  expect((await session.request('tools/list', {}, { node: 1 })).status).toBe(404)
  await expect(sealedStore(nodes.stores[0]!, seal).readSession(session.id)).rejects.toMatchObject(forgotten)
})
