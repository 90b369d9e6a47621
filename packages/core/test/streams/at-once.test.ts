import { describe, expect, test } from 'vitest'
import { StoreError } from '../../src/index.js'
import type { Store } from '../../src/index.js'
import { parseRecord } from '../../src/call/record.js'
import { BEGINNING } from '../../src/store/store.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { ADAPTERS } from '../support/serve.js'
import { dataOf, expectRefused, expectStream, Session, textOf } from '../support/session.js'
import { waitFor } from '../../../../test-support/index.js'

// A tool that says it only reads runs before it is recorded. Nothing of it is shown before that.

const STORES = ['memory', 'redis'] as const
const SDKS = ['v1', 'v2'] as const

/** A store whose operations can be held back, made to fail, and counted. */
class Watched {
  readonly asked: string[] = []
  fail: { operation: keyof Store; error: StoreError; applied?: boolean } | undefined
  #held: { operation: keyof Store; until: Promise<void> } | undefined

  hold(operation: keyof Store): () => void {
    let release!: () => void
    this.#held = { operation, until: new Promise((resolve) => (release = resolve)) }
    return release
  }

  wrap(store: Store): Store {
    return new Proxy(store, {
      get: (target, name: keyof Store) => {
        const member: unknown = Reflect.get(target, name, target)
        if (typeof member !== 'function') return member
        if (name === 'keeping')
          return (keeping: Parameters<Store['keeping']>[0]) => this.wrap(target.keeping(keeping))
        return async (...args: unknown[]) => {
          this.asked.push(name)
          if (this.#held?.operation === name) await this.#held.until
          const { fail } = this
          if (fail?.operation !== name) return Reflect.apply(member, target, args) as unknown
          if (fail.applied) await (Reflect.apply(member, target, args) as Promise<unknown>)
          throw fail.error
        }
      },
    })
  }
}

const recordsOf = async (nodes: Nodes, session: Session, eventId: string | undefined) => {
  const entries = await nodes.stores[1]!.read(
    session.id,
    `call:${eventId?.split('.')[0] ?? ''}`,
    BEGINNING,
    10,
  )
  return (entries ?? []).map(({ data }) => parseRecord(data).kind)
}

describe.each(STORES.flatMap((store) => SDKS.map((sdk) => ({ store, sdk }))))(
  'a tool that only reads, $store, SDK $sdk',
  ({ store, sdk }) => {
    async function start(settings = {}) {
      const watched = new Watched()
      const wrap = (own: Store, node: number) => (node === 0 ? watched.wrap(own) : own)
      const nodes = await startNodes({ store, sdk, wrap, settings })
      return { nodes, watched, world: nodes.world, [Symbol.asyncDispose]: () => nodes[Symbol.asyncDispose]() }
    }

    test('waits for the store once, and its stream resumes on every node', async () => {
      await using scene = await start()
      const { nodes, watched } = scene
      const session = await Session.begin(nodes)
      watched.asked.length = 0
      await using stream = await session.call('read', { text: 'one' })
      const [priming, response, ...more] = await stream.rest()
      expect(watched.asked).toEqual(['recordCall'])
      expect(more).toEqual([])
      expect(priming).toMatchObject({ data: '' })
      expect(response?.id).toMatch(/\.end$/)
      expect(textOf(JSON.parse(response?.data ?? '') as never)).toBe('one, subscribed: ')
      expect(await recordsOf(nodes, session, priming?.id)).toEqual(['request', 'response'])
      for (const node of [0, 1]) {
        await using resumed = await session.stream(priming?.id, { node })
        expect((await resumed.rest()).at(-1)).toMatchObject({ id: response?.id, data: response?.data })
        expect((await session.get(response?.id, { node })).status).toBe(204)
      }
      expect(nodes.world.happened.count('read one')).toBe(1)
    })

    test('is shown when it is recorded, and one that does not say so does not run before', async () => {
      await using scene = await start()
      const { nodes, watched, world } = scene
      const session = await Session.begin(nodes)
      const recorded = watched.hold('recordCall')
      let shown = false
      const reading = session.result('read', { text: 'one' }).finally(() => (shown = true))
      await world.happened.until('read one')
      await waitFor(async () => watched.asked.includes('recordCall'))
      expect(shown).toBe(false)
      recorded()
      expect(await reading).toBe('one, subscribed: ')
      const opened = watched.hold('openCall')
      world.gates.open('g')
      const waiting = session.result('wait', { gate: 'g' })
      await waitFor(async () => watched.asked.includes('openCall'))
      expect(world.happened.count('started g')).toBe(0)
      opened()
      expect(await waiting).toBe('g on node-0')
    })

    test('is opened when it takes longer, and found by its request until it ends', async () => {
      await using scene = await start()
      const { nodes, world } = scene
      const session = await Session.begin(nodes)
      await using stream = await session.call('read', { text: 'long', gate: 'g' }, { id: 7 })
      const priming = await stream.next()
      expect(await nodes.stores[1]!.listOpenCalls(session.id)).toHaveLength(1)
      await using same = await session.call('read', { text: 'long', gate: 'g' }, { id: 7, node: 1 })
      await using resumed = await session.stream(priming?.id, { node: 1 })
      world.gates.open('g')
      for (const each of [stream, same, resumed])
        expect((await each.messages()).map(textOf)).toEqual(['long, subscribed: '])
      expect(await recordsOf(nodes, session, priming?.id)).toEqual(['request', 'response'])
    })

    test('is opened before it says anything, on its stream or beside it', async () => {
      await using scene = await start()
      const { nodes, watched } = scene
      const session = await Session.begin(nodes)
      await using standalone = await session.stream()
      await using stream = await session.call('read', { text: 'said', says: 2, tells: true })
      const messages = await stream.messages()
      expect(messages.slice(0, 2).map(dataOf)).toEqual(['say 1', 'say 2'])
      expect(messages.slice(2).map(textOf)).toEqual(['said, subscribed: '])
      expect(dataOf((await standalone.nextMessage()).message)).toBe('told')
      expect(watched.asked.indexOf('openCall')).toBeGreaterThan(0)
      expect(watched.asked.indexOf('openCall')).toBeLessThan(watched.asked.lastIndexOf('append'))
      expect(watched.asked).not.toContain('recordCall')
    })

    test.each([{}, { gate: 'g' }, { says: 1 }, { tells: true }])(
      'sees what another node was told before, %j',
      async (how) => {
        await using scene = await start()
        const { nodes, world } = scene
        const session = await Session.begin(nodes)
        expect(await session.result('read', { text: 'old' })).toBe('old, subscribed: ')
        const uri = 'test://static'
        await (await session.request('resources/subscribe', { uri }, { node: 1 })).text()
        await using standalone = await session.stream(undefined, { node: 1 })
        world.gates.open('g')
        expect(await session.result('read', { text: 'new', ...how })).toBe(`new, subscribed: ${uri}`)
        expect(world.happened.count('read new'), 'once in vain').toBe(2)
        if ('tells' in how) {
          expect(dataOf((await standalone.nextMessage()).message)).toBe('told')
          await nodes.mcp(1).notify(session.id, { method: 'notifications/tools/list_changed' })
          expect((await standalone.nextMessage()).message).toMatchObject({
            method: 'notifications/tools/list_changed',
          })
        }
        expect(await session.result('read', { text: 'again' })).toBe(`again, subscribed: ${uri}`)
        expect(world.happened.count('read again')).toBe(1)
      },
    )

    test('does not run for another principal, nor in a session that is gone', async () => {
      await using scene = await start()
      const { nodes, world } = scene
      const session = await Session.begin(nodes, { who: 'alice/token' })
      await session.result('read', { text: 'hers' })
      const params = { name: 'read', arguments: { text: 'not his' } }
      await expectRefused(await session.request('tools/call', params, { who: 'mallory/token' }), 404)
      await (await session.delete({ node: 1 })).text()
      // In a later turn the other node hears of it.
      await new Promise((resolve) => setImmediate(resolve))
      await expectRefused(await session.request('tools/call', params), 404)
      expect(world.happened.count('read not his')).toBe(0)
    })

    test('is refused with nothing shown while the store is away', async () => {
      await using scene = await start()
      const { nodes, watched, world } = scene
      const session = await Session.begin(nodes)
      const params = (args: object) => ({ name: 'read', arguments: { text: 'x', ...args } })
      const error = new StoreError('store-unavailable', 'The store is away.')
      watched.fail = { operation: 'recordCall', error }
      await expectRefused(await session.request('tools/call', params({})), 503)
      watched.fail = { operation: 'openCall', error }
      await expectRefused(await session.request('tools/call', params({ gate: 'never' })), 503)
      await world.happened.until('aborted never')
      await expectRefused(await session.request('tools/call', params({ says: 1 })), 503)
      await expectRefused(await session.request('tools/call', params({ tells: true })), 503)
      watched.fail = undefined
      expect(await session.result('read', { text: 'back' })).toBe('back, subscribed: ')
    })

    test('that was opened although its node does not know leaves nothing open', async () => {
      await using scene = await start()
      const { nodes, watched } = scene
      const session = await Session.begin(nodes)
      const error = new StoreError('store-timeout', 'The store did not answer.')
      watched.fail = { operation: 'openCall', error, applied: true }
      const params = { name: 'read', arguments: { text: 'x', gate: 'never' } }
      await expectRefused(await session.request('tools/call', params), 503)
      expect(await nodes.stores[1]!.listOpenCalls(session.id)).toHaveLength(1)
      watched.fail = undefined
      await waitFor(async () => (await nodes.stores[1]!.listOpenCalls(session.id)).length === 0)
    })

    test('with an idempotency key has one result, also when it is asked for again', async () => {
      await using scene = await start()
      const { nodes } = scene
      const session = await Session.begin(nodes)
      const headers = { 'idempotency-key': 'k' }
      const ends: unknown[] = []
      for (const node of [0, 1, 0]) {
        const params = { name: 'read', arguments: { text: 'once' } }
        await using stream = await expectStream(
          await session.request('tools/call', params, { id: 9, node, headers }),
        )
        ends.push((await stream.rest()).at(-1)?.id)
      }
      expect(ends[0]).toMatch(/\.end$/)
      expect(ends).toEqual([ends[0], ends[0], ends[0]])
    })

    test('is cancelled through another node', async () => {
      await using scene = await start()
      const { nodes, world } = scene
      const session = await Session.begin(nodes)
      await using stream = await session.call('read', { text: 'x', gate: 'a' }, { id: 'late' })
      await stream.next()
      await session.notify('notifications/cancelled', { requestId: 'late' }, { node: 1 })
      await world.happened.until('aborted a')
      expect(await stream.rest()).toEqual([])
    })

    test('is answered when its node leaves', async () => {
      await using scene = await start()
      const { nodes, watched } = scene
      const session = await Session.begin(nodes)
      const recorded = watched.hold('recordCall')
      const reading = session.result('read', { text: 'last' })
      await waitFor(async () => watched.asked.includes('recordCall'))
      const closed = nodes.mcp(0).close({ graceMs: 5000 })
      recorded()
      expect(await reading).toBe('last, subscribed: ')
      await closed
    })

    test('is kept by a history', async () => {
      await using scene = await start({ history: { keep: 60_000 } })
      const { nodes } = scene
      const session = await Session.begin(nodes)
      await session.result('read', { text: 'kept' })
      const kept = await nodes.stores[1]!.history(session.id, { limit: 20 })
      const kinds = kept.filter(({ log }) => log.startsWith('call:')).map(({ data }) => data.split(' ', 1)[0])
      expect(kinds).toEqual(['request', 'response'])
    })
  },
)

test.each(ADAPTERS)('what a tool only reads arrives through %s', async (adapter) => {
  await using nodes = await startNodes({ adapter })
  for (const version of ['2025-11-25', '2025-06-18']) {
    const session = await Session.begin(nodes, { version })
    await using stream = await session.call('read', { text: 'ü🙂' })
    const { headers } = stream.response
    expect(headers.get('cache-control')).toContain('no-cache')
    expect(headers.get('mcp-session-id')).toBe(session.id)
    const events = await stream.rest()
    expect(events).toHaveLength(version === '2025-11-25' ? 2 : 1)
    expect(textOf(JSON.parse(events.at(-1)?.data ?? '') as never)).toBe('ü🙂, subscribed: ')
  }
})
