import { describe, expect, test } from 'vitest'
import { waitFor } from '../../../test-support/index.js'
import { StoreError } from '../src/error-classes.js'
import type { Durable, Store } from '../src/index.js'
import { startNodes } from './support/nodes.js'
import { Session } from './support/session.js'
import { STORES } from './support/stores.js'
import type { StoreKind } from './support/stores.js'
import { Weather } from './support/weather.js'

const untilReady = (mcp: Durable) => waitFor(async () => (await mcp.health()).ready, { what: 'ready' })

async function start(store: StoreKind, settings: { heartbeatMs?: number; leaseMs?: number } = {}) {
  const weather = new Weather()
  const nodes = await startNodes({ store, count: 1, wrap: (own) => weather.wrap(own), settings })
  return { weather, nodes, mcp: nodes.mcp(0), [Symbol.asyncDispose]: () => nodes[Symbol.asyncDispose]() }
}

describe.each(STORES)('health, %s', (store) => {
  test('a node is ready once the store knows it', async () => {
    await using node = await start(store)
    await untilReady(node.mcp)
    const { store: found, ...rest } = await node.mcp.health()
    expect(rest).toEqual({ ready: true, live: true, beating: true, listening: true, leaving: false })
    expect(found).toEqual({ reachable: true, latencyMs: expect.any(Number) })
  })

  test.each(['away', 'stuck'] as const)(
    'it is live, and not ready, while the store is %s',
    async (failure) => {
      await using node = await start(store)
      await untilReady(node.mcp)
      node.weather.set(failure)
      expect(await node.mcp.health()).toEqual({
        ready: false,
        live: true,
        store: { reachable: false, latencyMs: undefined },
        beating: false,
        listening: false,
        leaving: false,
      })
      node.weather.fine()
      await untilReady(node.mcp)
    },
  )

  test('it waits for the store no longer than it is told', async () => {
    await using node = await start(store)
    await untilReady(node.mcp)
    node.weather.set('stuck')
    const { store: found } = await node.mcp.health({ timeoutMs: 1 })
    expect(found.reachable).toBe(false)
  })

  test('a liveness check need not ask the store', async () => {
    await using node = await start(store)
    const failed = node.weather.failed.length
    node.weather.set('stuck', { only: ['listNodes', 'isWatched'] })
    expect(await node.mcp.health({ timeoutMs: 0 })).toMatchObject({ live: true, ready: false })
    expect(node.weather.failed.length).toBe(failed)
  })

  test('not ready while its heartbeats don’t arrive', async () => {
    await using node = await start(store, { heartbeatMs: 20, leaseMs: 200 })
    await untilReady(node.mcp)
    node.weather.set('away', { only: ['beat'] })
    const late = await waitFor(async () => {
      const health = await node.mcp.health()
      return !health.beating && health
    })
    expect(late).toMatchObject({ ready: false, live: true, store: { reachable: true }, listening: true })
    node.weather.fine()
    await untilReady(node.mcp)
  })

  test('not ready while nothing can wake it', async () => {
    const weather = new Weather()
    weather.set('away', { only: ['watch'] })
    const settings = { sweepMs: 50 }
    await using nodes = await startNodes({ store, count: 1, wrap: (own) => weather.wrap(own), settings })
    await waitFor(async () => (await nodes.mcp(0).health()).beating)
    expect(await nodes.mcp(0).health()).toMatchObject({ ready: false, listening: false })
    weather.fine()
    await untilReady(nodes.mcp(0))
  })

  test('from close() on it is not ready, and lives until that has ended', async () => {
    await using nodes = await startNodes({ store, count: 1 })
    const mcp = nodes.mcp(0)
    await untilReady(mcp)
    const session = await Session.begin(nodes)
    await using call = await session.call('wait', { gate: 'g' })
    await nodes.world.happened.until('started g')
    const closed = mcp.close()
    expect(await mcp.health()).toMatchObject({ ready: false, live: true, leaving: true, beating: true })
    nodes.world.gates.open('g')
    expect(await call.messages()).toHaveLength(1)
    await closed
    expect(await mcp.health()).toMatchObject({ ready: false, live: false, store: { reachable: false } })
  })
})

describe('a store that does not tell who listens', () => {
  const hiding = (own: Store) =>
    new Proxy(own, {
      get: (target, name) => (name === 'isWatched' ? undefined : (Reflect.get(target, name) as unknown)),
    })
  const refusing = (own: Store) =>
    new Proxy(own, {
      get: (target, name) =>
        name === 'isWatched'
          ? () => Promise.reject(new StoreError('store-failed', 'NOPERM'))
          : (Reflect.get(target, name) as unknown),
    })

  test.each([
    ['has no way to', hiding],
    ['refuses to', refusing],
  ])('as it %s: the node goes by its own subscription', async (_, wrap) => {
    await using nodes = await startNodes({ count: 1, wrap })
    await untilReady(nodes.mcp(0))
    expect(await nodes.mcp(0).health()).toMatchObject({ listening: true, store: { reachable: true } })
  })

  test.each([
    ['has no way to', hiding],
    ['refuses to', refusing],
  ])('as it %s: a dead node is found when its lease is over', async (_, wrap) => {
    const leaseMs = 800
    const lateAtClaim: number[] = []
    const noting = (own: Store) =>
      new Proxy(own, {
        get: (target, name) =>
          name === 'claimCall'
            ? async (...args: Parameters<Store['claimCall']>) => {
                const dead = (await target.listNodes()).find(({ node }) => node === 'dead')
                lateAtClaim.push(dead?.lateMs ?? Number.NaN)
                return target.claimCall(...args)
              }
            : (Reflect.get(target, name) as unknown),
      })
    // Who stands still for four heartbeats judges nobody for seconds.
    const settings = { leaseMs, heartbeatMs: 500, sweepMs: 20 }
    await using nodes = await startNodes({ count: 1, wrap: (own) => noting(wrap(own)), settings })
    const session = await Session.begin(nodes)
    const store = nodes.stores[0]!
    const call = {
      scope: session.id,
      callId: 'call',
      owner: 'dead',
      principal: undefined,
      requestKeys: ['k'],
    }
    await store.openCall({ ...call, data: 'request {"messages":[]}', ttlMs: 60_000, maxOpenCalls: 9 })
    await store.hold('dead', [session.id])
    // Last: a node whose lease is over before it holds anything is forgotten, and so is what it would hold.
    await store.beat('dead')
    await waitFor(() => lateAtClaim.length > 0, { what: 'a claim' })
    expect(lateAtClaim[0]).toBeGreaterThanOrEqual(leaseMs)
  })
})
