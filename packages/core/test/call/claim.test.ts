import { describe, expect, test } from 'vitest'
import { startNodes } from '../support/nodes.js'
import { Session } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { Weather } from '../support/weather.js'

const FAILURES = ['away', 'lost', 'stuck'] as const
const CASES = STORES.flatMap((store) => FAILURES.map((failure) => ({ store, failure })))

describe.each(CASES)('a claim while the store is $failure, $store', ({ store, failure }) => {
  test('is repeated, and the call goes on', async () => {
    const weather = new Weather()
    const wrap: Parameters<typeof startNodes>[0] = {
      store,
      wrap: (own, node) => (node === 1 ? weather.wrap(own) : own),
    }
    await using nodes = await startNodes(wrap)
    const session = await Session.begin(nodes)
    await using stream = await session.call('wait', { gate: 'g' })
    const priming = await stream.next()
    await nodes.world.happened.until('started g')
    weather.set(failure, { only: ['claimCall'], times: 2 })
    await nodes.mcp(0).close({ graceMs: 0 })
    await using resumed = await session.stream(priming?.id, { node: 1 })
    expect(JSON.stringify(await resumed.messages())).toContain('outcome is unknown')
    expect(weather.failed).toEqual(['claimCall', 'claimCall'])
  })
})
