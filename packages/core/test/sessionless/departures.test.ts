import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { waitFor } from '../../../../test-support/index.js'
import { StoreError } from '../../src/errors.js'
import type { CommonOptions, Store } from '../../src/index.js'
import { META } from '../../src/protocol.js'
import { Alone } from '../support/alone.js'
import { answersTo, ask, Caller, CAPABILITIES, resultOf } from '../support/caller.js'
import { durableServer } from '../support/durable-server.js'
import { startNodes } from '../support/nodes.js'
import { overriding } from '../support/overriding.js'
import { textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import type { StoreKind } from '../support/stores.js'
import { Gates, Happenings } from '../support/world.js'

const start = (onDisconnect: CommonOptions['onDisconnect'], store: StoreKind = 'memory') =>
  startNodes({
    store,
    adapter: 'node',
    settings: { eras: ['2025-11-25', '2026-07-28'], ...(onDisconnect && { onDisconnect }) },
  })

/** What is written about who has the client of a call. */
const isNote = (key: string) => key.startsWith('shown by ')

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
        if (isNote(of[1])) await sleep(100)
        happened.add('noted')
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
  expect(happened.all).toEqual(['noted'])
})

test('a client that was asked something is back before its answer is taken', async () => {
  const happened: string[] = []
  const looking = (store: Store) =>
    overriding(store, {
      writeValue: async (...of) => {
        const written = await store.writeValue(...of)
        if (isNote(of[1])) happened.push('noted')
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
  expect(happened.slice(0, 2)).toEqual(['noted', 'answer'])
})

test('the answers of a client that breaks off while it comes back are still open', async () => {
  const happened = new Happenings()
  const gates = new Gates()
  let newest: AbortSignal | undefined
  const slow = (store: Store) =>
    overriding(store, {
      writeValue: async (...of) => {
        if (isNote(of[1])) happened.add('notes')
        if (isNote(of[1])) await gates.pass('write', new AbortController().signal)
        const written = await store.writeValue(...of)
        happened.add('noted')
        return written
      },
    })
  await using nodes = await startNodes({
    wrap: (store, node) => (node === 1 ? slow(store) : store),
    adapter: 'node',
    settings: {
      eras: ['2026-07-28'],
      principal: ({ signal }) => {
        newest = signal
        return 'ann'
      },
      server: () => durableServer(async (ctx) => `hello ${await ask(ctx, 'name')}`),
    },
  })
  const caller = new Caller(new Alone(nodes))
  const asked = resultOf(await caller.last())
  const gone = new AbortController()
  const lost = caller.retry(asked, ['Ann'], { node: 1, signal: gone.signal }).catch(() => undefined)
  await happened.until('notes')
  gone.abort()
  await lost
  await waitFor(() => newest?.aborted)
  gates.open('write')
  await happened.until('noted')
  // Whatever came of it then is done.
  await (await caller.client.request('tools/list', {}, { node: 1 })).text()
  expect(textOf(await caller.retry(asked, ['Bob']))).toBe('hello Bob')
})

test('while the store takes no writes, a client that comes back waits, and is told so', async () => {
  let takesWrites = true
  const refuse = () => Promise.reject(new StoreError('store-unavailable', 'full'))
  const full = (store: Store) =>
    overriding(store, {
      writeValue: (...of) => (takesWrites ? store.writeValue(...of) : refuse()),
      append: (...of) => (takesWrites ? store.append(...of) : refuse()),
      setDue: (...of) => (takesWrites ? store.setDue(...of) : refuse()),
    })
  await using nodes = await startNodes({
    wrap: full,
    settings: {
      eras: ['2026-07-28'],
      server: () => durableServer(async (ctx) => `hello ${await ask(ctx, 'name')}`),
    },
  })
  const client = new Alone(nodes)
  const caller = new Caller(client)
  const asked = resultOf(await caller.last())
  await using stream = await client.call('work', { text: 'x' }, { meta: CAPABILITIES })
  const id = (await stream.next())?.id
  takesWrites = false
  const answer = { inputResponses: answersTo(asked, 'Ann'), requestState: asked.requestState }
  const [resumed, answered] = await Promise.all([
    client.get(id, { node: 1 }),
    caller.request(answer, { node: 1 }),
  ])
  expect([resumed.status, answered.status]).toEqual([503, 503])
  const coming = caller.retry(asked, ['Ann'], { node: 1 })
  takesWrites = true
  expect(textOf(await coming)).toBe('hello Ann')
})

test('nobody need know who has the client of a call that has ended', async () => {
  const happened = new Happenings()
  const looking = (store: Store) =>
    overriding(store, {
      writeValue: (...of) => {
        happened.add(of[1])
        return store.writeValue(...of)
      },
    })
  await using nodes = await startNodes({ wrap: looking, adapter: 'node', settings: { eras: ['2026-07-28'] } })
  const client = new Alone(nodes)
  await using stream = await client.call('wait', { gate: 'g' })
  const id = (await stream.next())?.id
  nodes.world.gates.open('g')
  await stream.messages()
  await using again = await client.stream(id, { node: 1 })
  expect(textOf((await again.messages()).at(-1))).toBe('g on node-0')
  expect(happened.all).toEqual([])
})

test('a client that is gone without a word has its call cancelled once its stream ends by age', async () => {
  await using nodes = await startNodes({
    adapter: 'node',
    settings: {
      eras: ['2026-07-28'],
      onDisconnect: 'cancel',
      keepAliveMs: 100,
      maxStreamAgeMs: 300,
      retryMs: 0,
    },
  })
  await using stream = await new Alone(nodes).call('wait', { gate: 'g' })
  await stream.messages()
  await nodes.world.happened.until('aborted g')
  expect(nodes.world.happened.all).not.toContain('passed g')
})

test('a client that does not come back to a stream which its tool has ended has its call cancelled', async () => {
  await using nodes = await startNodes({
    adapter: 'node',
    settings: { eras: ['2026-07-28'], onDisconnect: 'cancel', retryMs: 0 },
  })
  await using stream = await new Alone(nodes).call('hang_up', { gate: 'g' })
  expect(await stream.messages()).toEqual([])
  await nodes.world.happened.until('aborted g')
})

test('a client that takes nothing any more has its call cancelled once it is disconnected', async () => {
  const happened = new Happenings()
  const data = 'x'.repeat(64 * 1024)
  const server = () =>
    durableServer(async (ctx) => {
      ctx.signal.addEventListener('abort', () => happened.add('aborted'))
      while (!ctx.signal.aborted) {
        await ctx.notify({ method: 'notifications/message', params: { level: 'info', data } })
        await sleep(20)
      }
      return ''
    })
  await using nodes = await startNodes({
    adapter: 'node',
    settings: {
      eras: ['2026-07-28'],
      onDisconnect: 'cancel',
      keepAliveMs: 100,
      stallTimeoutMs: 200,
      retryMs: 0,
      server,
    },
  })
  const meta = { ...CAPABILITIES, [META.logLevel]: 'debug' }
  const response = await new Alone(nodes).request(
    'tools/call',
    { name: 'work', arguments: { text: '' } },
    { meta },
  )
  expect(response.status).toBe(200)
  await happened.until('aborted')
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
