import { describe, expect, test } from 'vitest'
import type { Store } from '../../src/index.js'
import { SDKS, startNodes, SYSTEMS } from '../support/nodes.js'
import { dataOf, Session, textOf } from '../support/session.js'
import { waitFor } from '../../../../test-support/index.js'
import { overriding } from '../support/overriding.js'

// A node is taken for dead while its handler runs, and does not hear who has the call now: its subscription was broken too.

/** As after a break of the subscription: what becomes of journals is not told here. */
function deafToCalls(store: Store, hears: { calls: boolean }): Store {
  const watch: Store['watch'] = (scope, listener) =>
    store.watch(scope, (topic, ...news) => {
      if (hears.calls || !topic.startsWith('call:')) listener(topic, ...news)
    })
  return overriding(store, { watch })
}

const CASES = SYSTEMS.flatMap((system) => SDKS.map((sdk) => ({ ...system, sdk })))

describe.each(CASES)(
  'a node that missed who took its call over, $store, $host, server $sdk',
  ({ store, host, sdk }) => {
    /** A call that the node runs, and another one owns. */
    async function start(settings: object = {}) {
      const hears = { calls: true }
      const wrap = (own: Store) => deafToCalls(own, hears)
      const nodes = await startNodes({
        store,
        sdk,
        host,
        count: 1,
        wrap,
        settings: { recover: () => true, ...settings },
      })
      const session = await Session.begin(nodes)
      const stream = await session.call('chant', { count: 2 })
      const priming = await stream.next()
      await nodes.world.happened.until('started verse 1')
      hears.calls = false
      const own = nodes.stores[0]!
      const [{ callId, owner } = { callId: '', owner: '' }] = await own.listOpenCalls(session.id)
      const claim = { from: owner, to: 'another', data: 'claim {"node":"another","nonce":"n"}' }
      expect(await own.claimCall(session.id, callId, claim)).toBeDefined()
      return { nodes, session, hears, own, owner, resume: () => session.stream(priming?.id) }
    }

    const isUpstream = host === 'upstream'
    test.skipIf(isUpstream)(
      'aborts its handler at the beat that tells it that it was taken for dead',
      async () => {
        const { nodes: started, session, own, owner } = await start({ heartbeatMs: 50 })
        await using nodes = started
        expect(await own.declareDead(owner, [session.id], 0)).toBe(true)
        await nodes.world.happened.until('aborted verse 1')
      },
    )

    test.skipIf(isUpstream)('aborts its handler although it is never told', async () => {
      const { nodes: started } = await start({ reconcileEveryMs: 50 })
      await using nodes = started
      await nodes.world.happened.until('aborted verse 1')
      expect(nodes.world.happened.all).not.toContain('passed verse 1')
    })

    // Both runs have the same id in the same server object.
    test.skipIf(isUpstream)(
      'and takes it over again: the run before says nothing in the name of the next one',
      async () => {
        const { nodes: started, hears, resume } = await start()
        await using nodes = started
        await using resumed = await resume()
        await nodes.world.happened.until('started verse 1', 2)
        hears.calls = true
        nodes.world.gates.open('verse 1')
        nodes.world.gates.open('verse 2')

        const messages = await resumed.messages()
        const said = [...messages.slice(0, -1).map(dataOf), textOf(messages.at(-1))]
        expect(said).toEqual(['amen', 'amen', 'chanted 2'])
        expect(nodes.world.happened.count('aborted verse 1')).toBe(1)
        expect(nodes.world.happened.count('passed verse 2')).toBe(1)
      },
    )

    test.runIf(isUpstream)('and takes it over again: its upstream is heard once', async () => {
      const { nodes: started, session, hears, own, owner, resume } = await start()
      await using nodes = started
      await using resumed = await resume()
      await waitFor(async () => (await own.listOpenCalls(session.id))[0]?.owner === owner)
      hears.calls = true
      nodes.world.gates.open('verse 1')
      nodes.world.gates.open('verse 2')

      const messages = await resumed.messages()
      const said = [...messages.slice(0, -1).map(dataOf), textOf(messages.at(-1))]
      expect(said).toEqual(['amen', 'amen', 'chanted 2'])
      expect(nodes.world.happened.count('started verse 1')).toBe(1)
    })
  },
)

test('a node that missed that a session was deleted aborts the handlers of its calls', async () => {
  const deaf = (store: Store) =>
    overriding(store, {
      watch: (scope, listener) =>
        store.watch(scope, (topic, ...news) => {
          if (topic !== 'deleted') listener(topic, ...news)
        }),
    })
  await using nodes = await startNodes({
    wrap: (store, node) => (node === 0 ? deaf(store) : store),
    settings: { reconcileEveryMs: 50 },
  })
  const session = await Session.begin(nodes)
  await using _ = await session.call('wait', { gate: 'g' })
  await nodes.world.happened.until('started g')
  await session.delete({ node: 1 })
  await nodes.world.happened.until('aborted g')
  expect(nodes.world.happened.all).not.toContain('passed g')
})
