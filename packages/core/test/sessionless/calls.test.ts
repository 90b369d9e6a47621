import { describe, expect, test } from 'vitest'
import type { Store } from '../../src/store/index.js'
import { META } from '../../src/protocol.js'
import { Alone } from '../support/alone.js'
import { SDKS, startNodes } from '../support/nodes.js'
import type { NodesOptions } from '../support/nodes.js'
import { overriding } from '../support/overriding.js'
import { expectRefused, Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { Gates, Happenings } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'

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

test('a call that can’t go on ends in the form of the version', async () => {
  await using nodes = await start({ settings: QUICK })
  const client = new Alone(nodes)
  await using stream = await client.call('wait', { gate: 'g' })
  const priming = await stream.next()
  await nodes.world.happened.until('started g')
  await nodes.mcp(0).close({ graceMs: 0 })
  await using resumed = await client.stream(priming?.id, { node: 1 })
  const [ended] = (await resumed.messages()).slice(-1)
  expect(textOf(ended)).toMatch(/outcome is unknown/)
  expect(ended).toMatchObject({ result: { resultType: 'complete', isError: true } })
})

test('the server object of a call that is being recorded does not go to make room for another one', async () => {
  const gates = new Gates()
  const happened = new Happenings()
  const wrap = (store: Store) =>
    overriding(store, {
      openCall: async (call) => {
        happened.add('opening')
        await gates.pass('open', new AbortController().signal)
        return store.openCall(call)
      },
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

test.each(STORES)('a node lets go of calls that have ended, and of no other, %s', async (store) => {
  await using nodes = await start({ store, settings: QUICK })
  const client = new Alone(nodes)
  const own = nodes.stores[0]!
  const held = async () =>
    (await Promise.all((await own.listNodes()).map(({ node }) => own.heldScopes(node, 1000)))).flat()
  for (let n = 0; n < 20; n++) {
    await using ended = await client.call('echo', { text: 'x' })
    await ended.messages()
  }
  await using running = await client.call('look', { gate: 'g' })
  const [callId = ''] = ((await running.next())?.id ?? '').split('.')
  await nodes.world.happened.until('started g')
  await waitFor(async () => (await held()).length === 1)
  expect(await held()).toEqual([callId])
  // What it has not ended it holds when it leaves: so the other one finds it.
  await nodes.mcp(0).close({ graceMs: 0 })
  nodes.world.gates.open('g')
  await using resumed = await client.stream(
    `${callId}.${(await own.read(callId, `call:${callId}`, '-', 1))?.[0]?.id}`,
    {
      node: 1,
    },
  )
  expect(await resumed.messages()).toHaveLength(1)
})

test('whoever takes over from a node finds its calls: a scope is held before the call in it is opened', async () => {
  const sent: string[] = []
  const wrap = (store: Store) =>
    overriding(store, {
      hold: (...held) => {
        sent.push('hold')
        return store.hold(...held)
      },
      openCall: (call) => {
        sent.push('openCall')
        return store.openCall(call)
      },
    })
  await using nodes = await start({ count: 1, wrap })
  await using stream = await new Alone(nodes).call('echo', { text: 'x' })
  await stream.messages()
  expect(sent).toEqual(['hold', 'openCall'])
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

test.each(STORES)('a principal has so many open calls, on all nodes together, over %s', async (store) => {
  await using nodes = await start({ store, settings: { maxOpenCallsPerPrincipal: 2 } })
  const client = new Alone(nodes)
  const wait = (node: number, who = 'ann/1') =>
    client.request('tools/call', { name: 'wait', arguments: { gate: 'g' } }, { node, who })
  const open = [await wait(0), await wait(1)]
  // Each node may open one more until the store has said that there are so many.
  const late = [await wait(0), await wait(1)]
  for (const node of [0, 1]) {
    const refused = await wait(node)
    expect(refused.headers.get('retry-after')).toBe('1')
    await expectRefused(refused, 429, -32000)
  }
  open.push(await wait(0, 'bob/1'))
  nodes.world.gates.open('g')
  for (const response of [...open, ...late]) await response.text()
  expect(open.map(({ status }) => status)).toEqual([200, 200, 200])
  await waitFor(async () => {
    const next = await wait(0)
    await next.text()
    return next.status === 200
  })
})
