import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { StoreError } from '../../src/errors.js'
import type { CommonOptions, Store } from '../../src/index.js'
import { Alone } from '../support/alone.js'
import { startNodes } from '../support/nodes.js'
import { overriding } from '../support/overriding.js'
import { textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import type { StoreKind } from '../support/stores.js'
import { Happenings } from '../support/world.js'

const start = (onDisconnect: CommonOptions['onDisconnect'], store: StoreKind = 'memory') =>
  startNodes({
    store,
    adapter: 'node',
    settings: { eras: ['2025-11-25', '2026-07-28'], ...(onDisconnect && { onDisconnect }) },
  })

/** Begins a call that waits at a gate, and closes its stream; resolves to the id of its first event. */
async function leave(client: Alone, gate = 'g') {
  const gone = new AbortController()
  const stream = await client.call('wait', { gate }, { signal: gone.signal })
  const priming = await stream.next()
  gone.abort()
  return priming?.id
}

describe.each(STORES)('a client that closes its stream, %s', (store) => {
  test('has its call cancelled', async () => {
    await using nodes = await start({ cancelAfterMs: 50 }, store)
    await leave(new Alone(nodes))
    await nodes.world.happened.until('aborted g')
    expect(nodes.world.happened.all).not.toContain('passed g')
  })

  test('and comes back to another node in time, gets its result', async () => {
    await using nodes = await start({ cancelAfterMs: 500 }, store)
    const client = new Alone(nodes)
    const id = await leave(client)
    await using resumed = await client.stream(id, { node: 1 })
    await resumed.next()
    // Longer than the grace, and than the other nodes are given to answer.
    await sleep(3000)
    nodes.world.gates.open('g')
    expect(textOf((await resumed.messages()).at(-1))).toBe('g on node-0')
    expect(nodes.world.happened.all).not.toContain('aborted g')
  })
})

test('a client that is back on a node which stands still keeps its call', async () => {
  const looked = new Happenings()
  /** Sees when the node that the client has left finds out who was the last to show the call. */
  const looking = (store: Store) =>
    overriding(store, {
      readValue: async (scope, key) => {
        const value = await store.readValue(scope, key)
        looked.add(key)
        return value
      },
    })
  const silent = (store: Store) =>
    overriding(store, {
      publish: async (scope, topic, value) => {
        if (topic !== 'shown') await store.publish(scope, topic, value)
      },
    })
  await using nodes = await startNodes({
    wrap: (store, node) => (node === 0 ? looking(store) : silent(store)),
    adapter: 'node',
    settings: { eras: ['2026-07-28'], onDisconnect: { cancelAfterMs: 500 } },
  })
  const client = new Alone(nodes)
  const id = await leave(client)
  await using resumed = await client.stream(id, { node: 1 })
  await resumed.next()
  await looked.until('shown by')
  // Whatever it did then is done.
  await (await client.request('tools/list')).text()
  expect(nodes.world.happened.all).not.toContain('aborted g')
  nodes.world.gates.open('g')
  expect(textOf((await resumed.messages()).at(-1))).toBe('g on node-0')
})

test.each(['hono', 'express4', 'express5', 'node'] as const)('is noticed with %s', async (adapter) => {
  const settings = { eras: ['2026-07-28'] as const, onDisconnect: 'cancel' as const }
  await using nodes = await startNodes({ adapter, count: 1, settings })
  await leave(new Alone(nodes))
  await nodes.world.happened.until('aborted g')
  expect(nodes.world.happened.all).not.toContain('passed g')
})

test('at once, if so told', async () => {
  await using nodes = await start('cancel')
  await leave(new Alone(nodes))
  await nodes.world.happened.until('aborted g')
  expect(nodes.world.happened.all).not.toContain('passed g')
})

test('as soon as the store is back, if that is away', async () => {
  let failed = 0
  const wrap = (store: Store) =>
    overriding(store, {
      publish: async (scope, topic, value) => {
        if (topic === 'wanted' && failed++ < 3) throw new StoreError('store-unavailable', 'away')
        return store.publish(scope, topic, value)
      },
    })
  await using nodes = await startNodes({
    wrap,
    adapter: 'node',
    settings: { eras: ['2026-07-28'], onDisconnect: { cancelAfterMs: 50 } },
  })
  await leave(new Alone(nodes))
  await nodes.world.happened.until('aborted g')
  expect(failed).toBe(4)
})

test('or never', async () => {
  await using nodes = await start('finish')
  const client = new Alone(nodes)
  const id = await leave(client)
  nodes.world.gates.open('g')
  await nodes.world.happened.until('passed g')
  await using resumed = await client.stream(id, { node: 1 })
  expect(textOf((await resumed.messages()).at(-1))).toBe('g on node-0')
})
