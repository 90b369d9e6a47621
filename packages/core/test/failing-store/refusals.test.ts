import { describe, expect, test } from 'vitest'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { expectRefused, initialize, Session } from '../support/session.js'
import { contentOf } from '../support/store-content.js'
import type { StoreKind } from '../support/stores.js'
import type { HostKind } from '../support/wrapped.js'
import { Weather } from '../support/weather.js'
import type { Store } from '../../src/index.js'

type Use = [name: string, send: (session: Session, node: number) => Promise<Response>, id?: string]

const USES: Use[] = [
  [
    'a call',
    (session, node) => session.request('tools/call', { name: 'echo', arguments: {} }, { id: 'x', node }),
    'x',
  ],
  ['a request', (session, node) => session.request('tools/list', undefined, { id: 'x', node }), 'x'],
  [
    'setLevel',
    (session, node) => session.request('logging/setLevel', { level: 'info' }, { id: 'x', node }),
    'x',
  ],
  [
    'a notification',
    (session, node) => session.post({ jsonrpc: '2.0', method: 'notifications/initialized' }, { node }),
  ],
  ['a cancellation', (session, node) => session.post(cancelled, { node })],
  [
    'an answer',
    (session, node) => session.post({ jsonrpc: '2.0', id: `${'A'.repeat(22)}.1`, result: {} }, { node }),
  ],
  ['a stream', (session, node) => session.get(undefined, { node })],
  ['a resumed stream', (session, node) => session.get('out.0-0', { node })],
  ['deletion', (session, node) => session.delete({ node })],
  ['initialize', (session, node) => initialize(session.nodes, { node })],
]
const cancelled = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }

type Storm = AsyncDisposable & { nodes: Nodes; weather: Weather; plain: Store; session: Session }

async function start(system: { store: StoreKind; host: HostKind }): Promise<Storm> {
  const weather = new Weather()
  const plain: Store[] = []
  const nodes = await startNodes({
    ...system,
    wrap: (own) => {
      plain.push(own)
      return weather.wrap(own)
    },
  })
  const session = await Session.begin(nodes)
  await session.result('echo', { text: '' })
  return {
    nodes,
    weather,
    plain: plain[0]!,
    session,
    [Symbol.asyncDispose]: () => nodes[Symbol.asyncDispose](),
  }
}

describe.each(SYSTEMS)('while the store fails, $store, $host', (system) => {
  test.each(USES)(
    '%s: 503 and nothing is done, on a node that knows the session or not',
    async (name, send, id) => {
      await using storm = await start(system)
      const { weather, plain, session } = storm
      const before = await contentOf(plain)
      for (const failure of ['away', 'stuck'] as const) {
        for (const node of [0, 1]) {
          weather.set(failure)
          const response = await send(session, node)
          weather.fine()
          expect(response.headers.get('retry-after'), name).toBe('1')
          expect(await expectRefused(response, 503)).toMatchObject({
            id: id ?? (name === 'initialize' ? 1 : null),
          })
          // What was under way when it was given up is taken back.
          await expect.poll(() => contentOf(plain)).toEqual(before)
        }
      }
      const after = await send(session, 0)
      await after.body?.cancel()
      expect(after.status).toBeLessThan(300)
    },
  )

  test('service resumes by itself, streams included', async () => {
    await using storm = await start(system)
    const { weather, session, nodes } = storm
    await using stream = await session.stream(undefined, { node: 1 })
    await stream.next()
    weather.set('away')
    await expectRefused(await session.request('ping'), 503)
    weather.fine()
    expect(await session.result('tell', { count: 2 }, { node: 1 })).toBe('told 2')
    for (const n of [1, 2])
      expect((await stream.nextMessage()).message).toMatchObject({ params: { data: `tell ${n}` } })
    expect(nodes.logs.filter(({ level }) => level === 'error')).toEqual([])
  })
})
