import { describe, expect, test } from 'vitest'
import { startNodes } from '../support/nodes.js'
import { Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { Weather } from '../support/weather.js'
import { waitFor } from '../../../../test-support/index.js'

/** So many that seconds have passed. */
const MANY = 8
const FAILURES = ['away', 'lost', 'stuck'] as const
const CASES = STORES.flatMap((store) => FAILURES.map((failure) => ({ store, failure })))

async function start(store: (typeof STORES)[number]) {
  const weather = new Weather()
  const nodes = await startNodes({
    store,
    wrap: (own, node) => (node === 1 ? weather.wrap(own) : own),
    settings: { recover: () => true },
  })
  const session = await Session.begin(nodes)
  const stream = await session.call('wait', { gate: 'g' })
  const priming = await stream.next()
  await nodes.world.happened.until('started g')
  const resume = () => session.stream(priming?.id, { node: 1 })
  return { weather, nodes, resume, [Symbol.asyncDispose]: () => nodes[Symbol.asyncDispose]() }
}

describe.each(CASES)('a call is taken over while the store is $failure, $store', ({ store, failure }) => {
  test('its claim is repeated', async () => {
    await using scene = await start(store)
    const { weather, nodes, resume } = scene
    weather.set(failure, { only: ['claimCall'], times: 2 })
    await nodes.mcp(0).close({ graceMs: 0 })
    nodes.world.gates.open('g')
    await using resumed = await resume()
    expect((await resumed.messages()).map(textOf)).toEqual(['g on node-1'])
    expect(weather.failed).toEqual(['claimCall', 'claimCall'])
  })

  test('it is not given up before the store is back', async () => {
    await using scene = await start(store)
    const { weather, nodes, resume } = scene
    weather.set(failure, { only: ['readSession'] })
    await nodes.mcp(0).close({ graceMs: 0 })
    nodes.world.gates.open('g')
    await using resumed = await resume()
    await waitFor(() => weather.failed.length >= MANY)
    weather.fine()
    expect((await resumed.messages()).map(textOf)).toEqual(['g on node-1'])
  })
})
