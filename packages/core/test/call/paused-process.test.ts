import { describe, expect, test } from 'vitest'
import type { Store } from '../../src/index.js'
import { startNodes } from '../support/nodes.js'
import { overriding } from '../support/overriding.js'
import { Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { waitFor } from '../../../../test-support/index.js'

const LEASE_MS = 300

/** Everything on this machine stands still for longer than a lease: a suspended virtual machine, a long pause for garbage. */
function standStill() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LEASE_MS * 3)
}

// All nodes are in this process, so all beats are late at once; whoever looks first must not take that for the others' death.
describe.each(STORES)('nodes that stood still together, %s', (store) => {
  test('do not take one another’s calls', async () => {
    const settings = { heartbeatMs: 50, leaseMs: LEASE_MS, sweepMs: 50 }
    await using nodes = await startNodes({ store, count: 3, settings })
    const session = await Session.begin(nodes)
    for (let round = 0; round < 5; round++) {
      const node = round % 3
      const gate = `g${round}`
      await using call = await session.call('wait', { gate }, { node })
      await nodes.world.happened.until(`started ${gate}`)
      standStill()
      // The others have looked around since: a call on each of them takes several turns.
      for (const other of [0, 1, 2, 0, 1, 2]) await session.result('echo', { text: '' }, { node: other })
      nodes.world.gates.open(gate)
      expect((await call.messages()).map(textOf)).toEqual([`${gate} on node-${node}`])
      expect(nodes.world.happened.count(`started ${gate}`)).toBe(1)
    }
  })
})

test('a clock of the store that was set forward makes no node seem dead', async () => {
  let looks = 0
  const wrap = (own: Store, node: number) =>
    overriding(own, {
      // As if all beats were from before.
      listNodes: async () => {
        const nodes = await own.listNodes()
        if (node === 0 || looks === 0) return nodes
        return looks++ === 1 ? nodes.map((beat) => ({ ...beat, lateMs: beat.lateMs + 3_600_000 })) : nodes
      },
    })
  const settings = { heartbeatMs: 50, leaseMs: LEASE_MS, sweepMs: 50 }
  await using nodes = await startNodes({ wrap, settings })
  const session = await Session.begin(nodes)
  await using call = await session.call('wait', { gate: 'g' })
  await nodes.world.happened.until('started g')
  looks = 1
  await waitFor(() => looks > 5)
  nodes.world.gates.open('g')
  expect((await call.messages()).map(textOf)).toEqual(['g on node-0'])
})
