import { expect, test } from 'vitest'
import type { Store } from '../store/store.js'
import {
  begin,
  contents,
  HOUR,
  listen,
  newCall,
  newSession,
  once,
  open,
  useStores,
  waitFor,
} from './stores.js'
import type { CreateStores } from './stores.js'

export function namesContract(create: CreateStores) {
  const stores = useStores(create)

  /** Of one name as two nodes have it, and of others. */
  async function named(work: (parts: { one: Store; peer: Store; others: Store[] }) => Promise<void>) {
    const { store, peer } = stores
    const one = store.open({ name: 'one' })
    const onePeer = peer.open({ name: 'one' })
    const another = peer.open({ name: 'another' })
    try {
      await work({ one, peer: onePeer, others: [another, peer] })
    } finally {
      for (const opened of [one, onePeer, another]) await opened.close()
    }
  }

  test('sessions, calls, values and histories of a name are those of its nodes alone', () =>
    named(async ({ one, peer, others }) => {
      const keeping = one.open({ keeping: { keepMs: HOUR, maxEntries: 10 } })
      const scope = await begin(keeping)
      const call = await open(keeping, scope)
      await one.append(scope, 'out', 'message', once())
      await one.writeValue(scope, 'key', 0, 'value')
      expect(await contents(peer, scope, 'out')).toEqual(['message'])
      expect((await peer.history(scope, { limit: 10 })).length).toBeGreaterThan(0)
      for (const other of others) {
        expect(await other.admit(scope, 'alice', HOUR)).toBeUndefined()
        expect(await other.readSession(scope)).toBeUndefined()
        expect((await other.listSessions(undefined, 10)).ids).toEqual([])
        expect(await other.openCall(newCall(scope))).toEqual({ status: 'unknown' })
        expect(await other.listOpenCalls(scope)).toEqual([])
        const claim = { from: call.owner, to: 'thief', data: 'claim' }
        expect(await other.claimCall(scope, call.callId, claim)).toBeUndefined()
        expect(await contents(other, scope, call.log)).toEqual([])
        expect(await other.readValue(scope, 'key')).toBeUndefined()
        expect(await other.history(scope, { limit: 10 })).toEqual([])
        expect(await other.deleteSession(scope, 'alice')).toBe(false)
        expect(await other.forget({ principal: 'alice' })).toMatchObject({ sessions: 0, calls: 0 })
      }
      expect((await peer.listSessions(undefined, 10)).ids).toEqual([scope])
      await keeping.close()
    }))

  test('so are nodes, what they hold, and maps', () =>
    named(async ({ one, peer, others }) => {
      await one.beat('node', 'about')
      await one.hold('node', ['scope'])
      await one.changeMap('map', { set: [['key', 'value']], remove: [] }, 'mark')
      expect(await peer.listNodes()).toMatchObject([{ node: 'node', about: 'about' }])
      expect(await peer.heldScopes('node', 10)).toEqual(['scope'])
      expect(await peer.readMap('map', ['key'])).toEqual(['value'])
      for (const other of others) {
        expect(await other.listNodes()).toEqual([])
        expect(await other.heldScopes('node', 10)).toEqual([])
        expect(await other.readMap('map', ['key'])).toEqual([undefined])
        const change = { set: [['key', 'other']], remove: [] } as const
        expect(await other.changeMap('map', change, 'mark'), 'the mark is unknown there').toBe('applied')
      }
      expect(await peer.readMap('map', ['key'])).toEqual(['value'])
    }))

  test('and so are limits and wake-ups', () =>
    named(async ({ one, peer, others }) => {
      const limits = { maxPerPrincipal: 1 }
      for (const store of [one, ...others]) {
        expect(await store.createSession(newSession({ id: 'same' }), limits)).toBe('created')
        expect(await store.createSession(newSession(), limits)).toBe('limit')
      }
      const ears = await listen(peer, 'same')
      for (const other of others) await other.publish('same', 'foreign', 'x')
      await one.publish('same', 'own', 'x')
      await ears.until('own', 'x')
      expect(ears.heard.map(([topic]) => topic)).toEqual(['own'])
    }))

  test('each is closed by itself', async () => {
    const { store } = stores
    const [first, second] = [store.open({ name: 'one' }), store.open({ name: 'one' })]
    const scope = await begin(second)
    const ears = await listen(second, scope)
    await first.close()
    await first.close()
    await second.publish(scope, 'topic', '')
    await waitFor('a wake-up', () => ears.count('topic', '') === 1)
    await second.close()
    await begin(store)
  })
}
