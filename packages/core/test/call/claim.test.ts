import { describe, expect, test } from 'vitest'
import { StoreError } from '../../src/error-classes.js'
import type { Store } from '../../src/index.js'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import { Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import type { StoreKind } from '../support/stores.js'
import type { HostKind } from '../support/wrapped.js'
import { Weather } from '../support/weather.js'
import { waitFor } from '../../../../test-support/index.js'
import { overriding } from '../support/overriding.js'

/** So many that seconds have passed. */
const MANY = 8
const FAILURES = ['away', 'lost', 'stuck'] as const
/** To a host behind HTTP all failures of the store are one. */
const CASES = SYSTEMS.flatMap((system) =>
  FAILURES.filter((failure) => system.host === 'server' || failure === 'away').map((failure) => ({
    system,
    failure,
  })),
)

async function start(system: { store: StoreKind; host: HostKind }) {
  const weather = new Weather()
  const nodes = await startNodes({
    ...system,
    wrap: (own, node) => (node === 1 ? weather.wrap(own) : own),
    settings: { recover: () => true },
  })
  // A node that has not heard what its server calls itself needs the store for more.
  await Session.begin(nodes, { node: 1 })
  const session = await Session.begin(nodes)
  const stream = await session.call('wait', { gate: 'g' })
  const priming = await stream.next()
  await nodes.world.happened.until('started g')
  const resume = () => session.stream(priming?.id, { node: 1 })
  return { weather, nodes, resume, [Symbol.asyncDispose]: () => nodes[Symbol.asyncDispose]() }
}

describe.concurrent.each(CASES)(
  'a call is taken over while the store is $failure, $system.store, $system.host',
  ({ system, failure }) => {
    test('its claim is repeated', async () => {
      await using scene = await start(system)
      const { weather, nodes, resume } = scene
      weather.set(failure, { only: ['claimCall'], times: 2 })
      await nodes.mcp(0).close({ graceMs: 0 })
      nodes.world.gates.open('g')
      await using resumed = await resume()
      expect((await resumed.messages()).map(textOf)).toEqual([`g on ${nodes.servers[1]}`])
      expect(weather.failed).toEqual(['claimCall', 'claimCall'])
    })

    test('it is not given up before the store is back', async () => {
      await using scene = await start(system)
      const { weather, nodes, resume } = scene
      weather.set(failure, { only: ['readSession'] })
      await nodes.mcp(0).close({ graceMs: 0 })
      nodes.world.gates.open('g')
      await using resumed = await resume()
      await waitFor(() => weather.failed.length >= MANY)
      weather.fine()
      expect((await resumed.messages()).map(textOf)).toEqual([`g on ${nodes.servers[1]}`])
    })
  },
)

/** As a Cluster one of whose masters is down: nothing is known of the open calls in these scopes. */
function without(store: Store, lost: ReadonlySet<string>): Store {
  const listOpenCalls: Store['listOpenCalls'] = async (scope) => {
    if (lost.has(scope)) throw new StoreError('store-timeout', 'The store did not answer.')
    return store.listOpenCalls(scope)
  }
  return overriding(store, { listOpenCalls })
}

test.each(STORES)('calls are taken over although those of other sessions can’t be, %s', async (store) => {
  const lost = new Set<string>()
  await using nodes = await startNodes({
    store,
    wrap: (own, node) => (node === 1 ? without(own, lost) : own),
    settings: { recover: () => true },
  })
  for (let count = 0; count < 10; count++) {
    const other = await Session.begin(nodes)
    await (await other.call('wait', { gate: 'other' })).next()
    lost.add(other.id)
  }
  const session = await Session.begin(nodes)
  await using stream = await session.call('wait', { gate: 'g' })
  const priming = await stream.next()
  await nodes.mcp(0).close({ graceMs: 0 })
  nodes.world.gates.open('g')
  await using resumed = await session.stream(priming?.id, { node: 1 })
  expect((await resumed.messages()).map(textOf)).toEqual([`g on ${nodes.servers[1]}`])
  lost.clear()
  nodes.world.gates.open('other')
  await nodes.world.happened.until('passed other', 10)
})
