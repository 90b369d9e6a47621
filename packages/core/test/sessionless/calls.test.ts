import { describe, expect, test } from 'vitest'
import type { NewCall, Store } from '../../src/store/index.js'
import { META } from '../../src/protocol.js'
import { Alone } from '../support/alone.js'
import { SDKS, startNodes } from '../support/nodes.js'
import type { NodesOptions } from '../support/nodes.js'
import { expectRefused, Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { Gates, Happenings } from '../support/world.js'

const ERAS = ['2025-11-25', '2026-07-28'] as const
const QUICK = { heartbeatMs: 50, sweepMs: 50, leaseMs: 1000 }
const start = ({ settings, ...options }: NodesOptions = {}) =>
  startNodes({ ...options, settings: { eras: ERAS, ...settings } })

const SYSTEMS = STORES.flatMap((store) => SDKS.map((sdk) => [store, sdk] as const))

describe.each(SYSTEMS)('a server of the SDK over %s, %s', (store, sdk) => {
  test('serves a call, and sessions beside it', async () => {
    await using nodes = await start({ store, sdk })
    const client = new Alone(nodes)
    await using stream = await client.call('echo', { text: 'hello' }, { id: 7 })
    const [priming, event] = [await stream.next(), await stream.next()]
    expect(priming).toMatchObject({ data: '', id: expect.stringMatching(/^[\w-]{22}\.\d+-1$/) as string })
    expect(JSON.parse(event?.data ?? '')).toMatchObject({
      jsonrpc: '2.0',
      id: 7,
      result: {
        content: [{ type: 'text', text: 'hello' }],
        resultType: 'complete',
        _meta: { [META.serverInfo]: { name: expect.any(String) as string } },
      },
    })
    expect(await stream.next()).toBeUndefined()
    const session = await Session.begin(nodes, { node: 1 })
    expect(await session.result('echo', { text: 'session' })).toBe('session')
  })

  test('goes on with a call on another node, when its own is gone', async () => {
    await using nodes = await start({ store, sdk, settings: QUICK })
    const client = new Alone(nodes)
    await using stream = await client.call('look', { gate: 'g' }, { who: 'ann/1' })
    const priming = await stream.next()
    await nodes.world.happened.until('started g')
    await nodes.mcp(0).close({ graceMs: 0 })
    nodes.world.gates.open('g')
    await using resumed = await client.stream(priming?.id, { node: 1, who: 'ann/2' })
    expect(textOf((await resumed.messages()).at(-1))).toBe('g on node-1')
  })
})

test('the server object of a call that is being recorded does not go to make room for another one', async () => {
  const gates = new Gates()
  const happened = new Happenings()
  const wrap = (store: Store): Store =>
    new Proxy(store, {
      get: (target, name) =>
        name === 'openCall'
          ? async (call: NewCall) => {
              happened.add('opening')
              await gates.pass('open', new AbortController().signal)
              return target.openCall(call)
            }
          : (Reflect.get(target, name) as unknown),
    })
  await using nodes = await start({ count: 1, wrap, settings: { maxServers: 1 } })
  const client = new Alone(nodes)
  const calling = client.call('echo', { text: 'first' })
  await happened.until('opening')
  const meta = { [META.clientInfo]: { name: 'another', version: '1' } }
  expect((await client.request('tools/list', {}, { meta })).status).toBe(503)
  gates.open('open')
  await using stream = await calling
  expect(textOf((await stream.messages()).at(-1))).toBe('first')
  expect((await client.request('tools/list', {}, { meta })).status).toBe(200)
})

test('the stream of a call is its caller’s alone', async () => {
  await using nodes = await start()
  const client = new Alone(nodes)
  await using stream = await client.call('echo', { text: 'mine' }, { who: 'ann/1' })
  const priming = await stream.next()
  for (const where of [{ who: 'eve/1' }, {}])
    await expectRefused(await client.get(priming?.id, { node: 1, ...where }), 404, -32001)
  await using resumed = await client.stream(priming?.id, { node: 1, who: 'ann/2' })
  expect(textOf((await resumed.messages()).at(-1))).toBe('mine')
})
