import { describe, expect, test } from 'vitest'
import { StoreError } from '../../src/error-classes.js'
import type { Store } from '../../src/index.js'
import { parseRecord } from '../../src/call/record.js'
import { BEGINNING } from '../../src/store/store.js'
import type { NewCall } from '../../src/store/store.js'
import { Alone } from '../support/alone.js'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { expectRefused, Session } from '../support/session.js'
import type { StoreKind } from '../support/stores.js'
import type { HostKind } from '../support/wrapped.js'
import { waitFor } from '../../../../test-support/index.js'
import { overriding } from '../support/overriding.js'

// A store that applies the opening of a call, and can't say so: the client is told that nothing was done. That stays true
// unless the same request comes again and joins the call.

/** Node 0 does not hear that its first call was opened, and can't ask before the store is back. */
class Deaf {
  opening: NewCall | undefined
  #back = false

  back() {
    this.#back = true
  }

  wrap(store: Store): Store {
    const openCall: Store['openCall'] = async (call) => {
      if (this.#back) return store.openCall(call)
      if (this.opening) throw new StoreError('store-unavailable', 'The store is away.')
      this.opening = call
      await store.openCall(call)
      throw new StoreError('store-timeout', 'The store did not answer.')
    }
    return overriding(store, { openCall })
  }
}

type Scene = AsyncDisposable & { deaf: Deaf; nodes: Nodes; session: Session }

async function start(system: { store: StoreKind; host: HostKind }): Promise<Scene> {
  const deaf = new Deaf()
  const nodes = await startNodes({ ...system, wrap: (own, node) => (node === 0 ? deaf.wrap(own) : own) })
  const session = await Session.begin(nodes)
  return { deaf, nodes, session, [Symbol.asyncDispose]: () => nodes[Symbol.asyncDispose]() }
}

const params = { name: 'wait', arguments: { gate: 'g' } }
const isOpen = async ({ nodes, session }: Scene) =>
  (await nodes.stores[1]!.listOpenCalls(session.id)).length > 0

async function kindsOf({ nodes, session, deaf }: Scene) {
  const entries = await nodes.stores[1]!.read(session.id, `call:${deaf.opening!.callId}`, BEGINNING, 10)
  return entries?.map(({ data }) => parseRecord(data).kind)
}

describe.concurrent.each(SYSTEMS)(
  'a call that was opened although its node does not know, $store, $host',
  (system) => {
    test('is closed, and has not run', async () => {
      await using scene = await start(system)
      const { deaf, nodes, session } = scene
      await expectRefused(await session.request('tools/call', params, { id: 5 }), 503)
      deaf.back()
      await waitFor(async () => !(await isOpen(scene)))
      expect(await kindsOf(scene)).toEqual(['request', 'cancelled'])
      expect(nodes.world.happened.count('started g')).toBe(0)
      nodes.world.gates.open('g')
      expect(await session.result('wait', { gate: 'g' }, { id: 5 })).toBe(`g on ${nodes.servers[0]}`)
    })

    test.each([undefined, 'a key'])(
      'is run for the same request that has come again meanwhile, once (idempotency key: %s)',
      async (key) => {
        await using scene = await start(system)
        const { deaf, nodes, session } = scene
        const headers = key === undefined ? {} : { 'idempotency-key': key }
        await expectRefused(await session.request('tools/call', params, { id: 5, headers }), 503)
        await using again = await session.call('wait', { gate: 'g' }, { id: 5, node: 1, headers })
        nodes.world.gates.open('g')
        deaf.back()
        expect(await again.messages()).toMatchObject([
          { id: 5, result: { content: [{ text: `g on ${nodes.servers[0]}` }] } },
        ])
        expect(nodes.world.happened.count('started g')).toBe(1)
        expect(await isOpen(scene)).toBe(false)
      },
    )

    test('is not run if who has joined it has cancelled it', async () => {
      await using scene = await start(system)
      const { deaf, nodes, session } = scene
      await expectRefused(await session.request('tools/call', params, { id: 5 }), 503)
      await using again = await session.call('wait', { gate: 'g' }, { id: 5, node: 1 })
      const cancelled = {
        jsonrpc: '2.0',
        method: 'notifications/cancelled',
        params: { requestId: 5 },
      } as const
      await session.post(cancelled, { node: 1 })
      deaf.back()
      expect(await again.messages()).toEqual([])
      expect(nodes.world.happened.count('started g')).toBe(0)
    })

    test('goes to another node when its own leaves', async () => {
      await using scene = await start(system)
      const { nodes, session } = scene
      await expectRefused(await session.request('tools/call', params, { id: 5 }), 503)
      await using again = await session.call('wait', { gate: 'g' }, { id: 5, node: 1 })
      nodes.world.gates.open('g')
      await nodes.mcp(0).close({ graceMs: 0 })
      expect(JSON.stringify(await again.messages())).toContain('its outcome is unknown')
      expect(nodes.world.happened.count('started g')).toBe(0)
    })
  },
)

describe.concurrent.each(SYSTEMS)(
  'a request that was journaled although its node does not know, $store, $host',
  (system) => {
    test('runs once, and leaves nothing open', async () => {
      await using scene = await start(system)
      const { deaf, nodes, session } = scene
      const asked = session.request('prompts/get', { name: 'wait', arguments: { gate: 'g' } })
      await waitFor(() => deaf.opening)
      nodes.world.gates.open('g')
      expect(JSON.stringify(await (await asked).json())).toContain(`g on ${nodes.servers[0]}`)
      deaf.back()
      await waitFor(async () => !(await isOpen(scene)))
      expect(nodes.world.happened.count('started g')).toBe(1)
    })

    test('is journaled when the store is back', async () => {
      await using scene = await start(system)
      const { deaf, nodes, session } = scene
      const asked = session.request('prompts/get', { name: 'wait', arguments: { gate: 'g' } })
      await waitFor(() => deaf.opening)
      deaf.back()
      const response = await asked
      expect(response.headers.get('content-type')).toContain('text/event-stream')
      nodes.world.gates.open('g')
      expect(await response.text()).toContain(`g on ${nodes.servers[0]}`)
      expect(await kindsOf(scene)).toEqual(['request', 'response'])
    })
  },
)

/** The first call is opened and not listed; by the time that is known, its principal has as many calls as it may. */
class Unlisted {
  opening: NewCall | undefined

  wrap(store: Store): Store {
    const openCall: Store['openCall'] = async (call) => {
      if (this.opening) {
        if (call.begins?.maxPerPrincipal !== undefined) return { status: 'limit' }
        return store.openCall(call)
      }
      this.opening = call
      await store.openCall(call)
      throw new StoreError('store-timeout', 'The call was opened, and could not be listed.')
    }
    return overriding(store, { openCall })
  }
}

test.each(['tools/call', 'prompts/get'])(
  'no %s without a session stays open and unrun because its principal has too many',
  async (method) => {
    const unlisted = new Unlisted()
    const wrap = (own: Store, node: number) => (node === 0 ? unlisted.wrap(own) : own)
    await using nodes = await startNodes({ wrap, settings: { eras: ['2026-07-28'] } })
    const client = new Alone(nodes)
    const request = client.request(method, params, { who: 'ann/1' })
    await waitFor(() => unlisted.opening)
    const response = await request
    expect([503, 429]).toContain(response.status)
    await response.body?.cancel()
    const { scope } = unlisted.opening!
    await waitFor(async () => (await nodes.stores[1]!.listOpenCalls(scope)).length === 0)
  },
)
