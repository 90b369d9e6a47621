import { describe, expect, test } from 'vitest'
import type { Store } from '../../src/index.js'
import { SDKS, startNodes, SYSTEMS } from '../support/nodes.js'
import { dataOf, Session, textOf } from '../support/session.js'

// A node is taken for dead while its handler runs, and does not hear of it: its subscription was broken, too. The next owner
// dies as well, and the node takes its own call over. Both runs have the same id in the same server object.

/** As after a break of the subscription: what the journals of others have is not told here. */
function deafToCalls(store: Store, hears: { calls: boolean }): Store {
  const watch: Store['watch'] = (scope, listener) =>
    store.watch(scope, (topic, ...news) => {
      if (hears.calls || !topic.startsWith('call:')) listener(topic, ...news)
    })
  return new Proxy(store, {
    get(target, name) {
      if (name === 'watch') return watch
      const member = Reflect.get(target, name, target) as unknown
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

const CASES = SYSTEMS.filter(({ host }) => host === 'server').flatMap((system) =>
  SDKS.map((sdk) => ({ ...system, sdk })),
)

describe.each(CASES)('a node takes over a call that it still runs, $store, server $sdk', ({ store, sdk }) => {
  test('the run before is aborted, and says nothing in the name of the next one', async () => {
    const hears = { calls: true }
    await using nodes = await startNodes({
      store,
      sdk,
      count: 1,
      wrap: (own) => deafToCalls(own, hears),
      settings: { recover: () => true },
    })
    const session = await Session.begin(nodes)
    await using stream = await session.call('chant', { count: 2 })
    const priming = await stream.next()
    await nodes.world.happened.until('started verse 1')

    hears.calls = false
    const [own] = nodes.stores
    const [{ callId = '', owner = '' } = {}] = (await own?.listOpenCalls(session.id)) ?? []
    const claim = { from: owner, to: 'dead', data: 'claim {"node":"dead","nonce":"n"}' }
    expect(await own?.claimCall(session.id, callId, claim)).toBeDefined()
    await using resumed = await session.stream(priming?.id)
    await nodes.world.happened.until('started verse 1', 2)
    hears.calls = true
    nodes.world.gates.open('verse 1')
    nodes.world.gates.open('verse 2')

    const messages = await resumed.messages()
    expect([...messages.slice(0, -1).map(dataOf), textOf(messages.at(-1)!)]).toEqual([
      'amen',
      'amen',
      'chanted 2',
    ])
    expect(nodes.world.happened.count('aborted verse 1')).toBe(1)
    expect(nodes.world.happened.count('passed verse 2')).toBe(1)
  })
})
