import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { StoreError } from '../../src/errors.js'
import type { CommonOptions, Store } from '../../src/index.js'
import { Alone } from '../support/alone.js'
import { ask, Caller, resultOf } from '../support/caller.js'
import { durableServer } from '../support/durable-server.js'
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

/** Who was the last to show a call to a client that had come back. */
const LAST = 'shown by'

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

test('a client hears that it is back only once the store knows', async () => {
  const happened = new Happenings()
  const slow = (store: Store) =>
    overriding(store, {
      writeValue: async (...of) => {
        const written = await store.writeValue(...of)
        // So long as a head that waits for nothing takes to be sent.
        if (of[1] === LAST) await sleep(100)
        happened.add(of[1])
        return written
      },
    })
  await using nodes = await startNodes({
    wrap: (store, node) => (node === 1 ? slow(store) : store),
    adapter: 'node',
    settings: { eras: ['2026-07-28'], onDisconnect: { cancelAfterMs: 60_000 } },
  })
  const client = new Alone(nodes)
  const id = await leave(client)
  await using _ = await client.stream(id, { node: 1 })
  expect(happened.all).toEqual([LAST])
})

test('a client that was asked something is back before its answer is taken', async () => {
  const happened: string[] = []
  const looking = (store: Store) =>
    overriding(store, {
      writeValue: async (...of) => {
        const written = await store.writeValue(...of)
        happened.push(of[1])
        return written
      },
      append: async (...of) => {
        if (of[1].endsWith(':in')) happened.push('answer')
        return store.append(...of)
      },
    })
  await using nodes = await startNodes({
    wrap: (store, node) => (node === 1 ? looking(store) : store),
    settings: {
      eras: ['2026-07-28'],
      server: () => durableServer(async (ctx) => `hello ${await ask(ctx, 'name')}`),
    },
  })
  const caller = new Caller(new Alone(nodes))
  const asked = resultOf(await caller.last())
  expect(textOf(await caller.retry(asked, ['Ann'], { node: 1 }))).toBe('hello Ann')
  expect(happened.slice(0, 2)).toEqual([LAST, 'answer'])
})

test('a client comes back to a node whose store takes no writes', async () => {
  const happened = new Happenings()
  const full = (store: Store, node: number) =>
    overriding(store, {
      writeValue: async (...of) => {
        happened.add(of[1])
        if (node === 1 && happened.count(LAST) < 3) throw new StoreError('store-unavailable', 'full')
        return store.writeValue(...of)
      },
    })
  await using nodes = await startNodes({
    wrap: full,
    adapter: 'node',
    settings: { eras: ['2026-07-28'], onDisconnect: { cancelAfterMs: 60_000 } },
  })
  const client = new Alone(nodes)
  const id = await leave(client)
  await using resumed = await client.stream(id, { node: 1 })
  await happened.until(LAST, 3)
  nodes.world.gates.open('g')
  expect(textOf((await resumed.messages()).at(-1))).toBe('g on node-0')
  await using again = await client.stream(id, { node: 0 })
  expect(textOf((await again.messages()).at(-1))).toBe('g on node-0')
  // Of a call that has ended nobody need know who has its client.
  expect(happened.count(LAST)).toBe(3)
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
