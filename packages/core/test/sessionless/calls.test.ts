import { describe, expect, test } from 'vitest'
import { META } from '../../src/protocol.js'
import { Alone } from '../support/alone.js'
import { SDKS, startNodes } from '../support/nodes.js'
import type { NodesOptions } from '../support/nodes.js'
import { Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'

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

test('where there may be one server object, clients that differ take turns, and no call is left without', async () => {
  await using nodes = await start({ count: 1, settings: { maxServers: 1 } })
  const client = new Alone(nodes)
  const call = async (n: number) => {
    const meta = { [META.clientInfo]: { name: `client ${n}`, version: '1' } }
    const params = { name: 'echo', arguments: { text: String(n) } }
    const response = await client.request('tools/call', params, { meta })
    return { status: response.status, text: await response.text() }
  }
  const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => call(n)))
  for (const [n, { status, text }] of answers.entries()) {
    expect([200, 503]).toContain(status)
    if (status === 200) expect(text).toContain(`"text":"${n}"`)
  }
  expect(await call(99)).toMatchObject({ status: 200 })
})
