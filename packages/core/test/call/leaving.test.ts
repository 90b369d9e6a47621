import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { StoreError } from '../../src/errors.js'
import { runsOf } from '../../src/runs/index.js'
import type { NodeBeat } from '../../src/store/membership.js'
import type { Store } from '../../src/store/store.js'
import { Alone } from '../support/alone.js'
import { durableServer } from '../support/durable-server.js'
import { startNodes } from '../support/nodes.js'
import { RunningCall } from '../support/running-call.js'
import { Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { Happenings } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'
import { overriding } from '../support/overriding.js'

test.each(STORES)(
  'a node that leaves while another one looks at the nodes is looked at again, %s',
  async (store) => {
    let release!: () => void
    const heardOfIt = new Promise<void>((resolve) => (release = resolve))
    let looks = 0
    /** The first look of node 1 is one at the nodes as they were before it heard that node 0 has left. */
    const wrap = (own: Store, node: number): Store => {
      if (node === 0) return own
      const listNodes = async (): Promise<NodeBeat[]> => {
        const nodes = await own.listNodes()
        if (looks++ === 0) await heardOfIt
        return nodes
      }
      const watch: Store['watch'] = (scope, listener) =>
        own.watch(scope, (topic, ...rest) => {
          listener(topic, ...rest)
          if (scope === 'nodes' && topic === 'left') release()
        })
      return overriding(own, { listNodes, watch })
    }
    await using nodes = await startNodes({ store, wrap, settings: { sweepMs: 60_000 } })
    const session = await Session.begin(nodes)
    await using stream = await session.call('look', { gate: 'g' })
    const priming = await stream.next()
    await nodes.world.happened.until('started g')
    await nodes.mcp(0).close({ graceMs: 0 })
    nodes.world.gates.open('g')
    await using resumed = await session.stream(priming?.id, { node: 1 })
    expect((await resumed.messages()).map(textOf).at(-1)).toMatch(/node-1/)
  },
)

test.each(STORES)(
  'the calls of a node that has left go on at once, also after the store was away, %s',
  async (store) => {
    let looks = 0
    const wrap = (own: Store, node: number): Store => {
      if (node === 0) return own
      // For some time after the store was away, nobody is taken for dead because it is late.
      const listNodes = async (): Promise<NodeBeat[]> => {
        if (looks++ % 2 === 0) throw new StoreError('store-unavailable', 'away for this look')
        return own.listNodes()
      }
      return overriding(own, { listNodes })
    }
    await using nodes = await startNodes({ store, wrap, settings: { sweepMs: 50 } })
    await using call = await RunningCall.ofTool(nodes, 'look', { gate: 'g' })
    await nodes.world.happened.until('started g')
    await waitFor(() => looks > 0)
    await call.leave()
    nodes.world.gates.open('g')
    expect((await call.resumed()).map(textOf).at(-1)).toMatch(/node-1/)
  },
)

test.each(STORES)('a run that an operator makes is begun at once, %s', async (store) => {
  const happened = new Happenings()
  const wrap = (own: Store) => {
    const listNodes = async () => {
      happened.add('looked')
      return own.listNodes()
    }
    return overriding(own, { listNodes })
  }
  const server = () =>
    durableServer(async () => {
      happened.add('ran')
      throw new Error('no')
    })
  await using nodes = await startNodes({
    store,
    wrap,
    count: 1,
    settings: { server, eras: ['2026-07-28'], sweepMs: 60_000 },
  })
  await happened.until('looked')
  await using stream = await new Alone(nodes).call('work', { text: '' })
  const [callId = ''] = String((await stream.next())?.id).split('.')
  await stream.messages()
  const before = happened.count('ran')
  const { call } = await runsOf(nodes.stores[0]!, { by: 'ann' }).retry({ scope: callId, callId })
  // Long before the node would look by itself.
  await happened.until('ran', before + 1)
  expect(call.callId).not.toBe(callId)
})

test('a node that leaves while it takes over leaves to the others what it has not claimed', async () => {
  const happened = new Happenings()
  const dies = (store: Store) =>
    overriding(store, {
      beat: async (...of) => {
        if (happened.count('dead') > 0) throw new StoreError('store-unavailable', 'away')
        return store.beat(...of)
      },
    })
  const leaves = (store: Store) =>
    overriding(store, {
      listOpenCalls: async (scope) => {
        const open = await store.listOpenCalls(scope)
        if (happened.count('dead') === 0 || open.length === 0) return open
        happened.add('takes over')
        await happened.until('leaves')
        return open
      },
      leave: async (node) => {
        happened.add('leaves')
        return store.leave(node)
      },
    })
  const wraps = [dies, leaves, (store: Store) => store]
  await using nodes = await startNodes({
    count: 3,
    wrap: (store, node) => wraps[node]!(store),
    settings: { heartbeatMs: 100, sweepMs: 100 },
    // Node 1 is the first to see that node 0 is dead.
    settingsOf: (node) => ({ leaseMs: node === 1 ? 600 : 4000 }),
  })
  await using call = await RunningCall.ofTool(nodes, 'look', { gate: 'g' })
  await nodes.world.happened.until('started g')
  happened.add('dead')
  await happened.until('takes over')
  await nodes.mcp(1).close({ graceMs: 0 })
  await nodes.world.happened.until('started g', 2)
  expect(await nodes.stores[2]!.listOpenCalls(call.session.id)).toHaveLength(1)
})

test('a call that can not be claimed is asked for by one attempt at a time', async () => {
  let isFull = false
  let under = 0
  const most: number[] = []
  const full = (store: Store) =>
    overriding(store, {
      claimCall: async (...of) => {
        if (!isFull) return store.claimCall(...of)
        most.push(++under)
        // As long as sweeps go on meanwhile.
        await sleep(300)
        under--
        throw new StoreError('store-unavailable', 'full')
      },
    })
  await using nodes = await startNodes({
    wrap: (store, node) => (node === 0 ? store : full(store)),
    settings: { heartbeatMs: 100, sweepMs: 100 },
  })
  await using call = await RunningCall.ofTool(nodes, 'look', { gate: 'g' })
  await nodes.world.happened.until('started g')
  isFull = true
  await call.leave()
  await waitFor(() => most.length >= 8)
  isFull = false
  expect(Math.max(...most)).toBe(1)
  await nodes.world.happened.until('started g', 2)
})
