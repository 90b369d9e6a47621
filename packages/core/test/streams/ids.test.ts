import { describe, expect, test } from 'vitest'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import { expectJson, Session, textOf } from '../support/session.js'

const MIB = 1024 * 1024
const IDS = [
  0,
  '',
  1,
  '1',
  -1,
  Number.MAX_SAFE_INTEGER,
  ' ',
  'a.b',
  '\u0000',
  '🦊',
  '__proto__',
  'x'.repeat(MIB),
]

describe.each(SYSTEMS)('ids and sizes, $store, $host', ({ store, host }) => {
  test('every id a client may choose, all of them at once', async () => {
    await using nodes = await startNodes({ store, host, adapter: 'node' })
    const session = await Session.begin(nodes)
    const answers = IDS.map(async (id, n) => {
      const stream = await session.call('echo', { text: `text ${n}` }, { id, node: n % 2 })
      const [message, ...more] = await stream.messages()
      expect(more).toEqual([])
      expect(message).toMatchObject({ id })
      expect(textOf(message)).toBe(`text ${n}`)
    })
    await Promise.all(answers)
    for (const id of IDS)
      expect(await expectJson(await session.request('ping', undefined, { id }))).toMatchObject({ id })
  })

  test('a call with any such id is cancelled from the other node', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    const streams = await Promise.all(IDS.map((id, n) => session.call('wait', { gate: `g${n}` }, { id })))
    for (const n of IDS.keys()) await nodes.world.happened.until(`started g${n}`)
    for (const requestId of IDS) await session.notify('notifications/cancelled', { requestId }, { node: 1 })
    for (const stream of streams) expect(await stream.messages()).toEqual([])
    for (const n of IDS.keys()) await nodes.world.happened.until(`aborted g${n}`)
  })

  test('a result of 2 MiB, live and resumed', async () => {
    await using nodes = await startNodes({ store, host, adapter: 'node' })
    const session = await Session.begin(nodes)
    await using stream = await session.call('big', { chars: 2 * MIB })
    const priming = await stream.next()
    expect((await stream.messages()).map((message) => textOf(message).length)).toEqual([2 * MIB])
    await using resumed = await session.stream(priming?.id, { node: 1 })
    expect((await resumed.messages()).map((message) => textOf(message).length)).toEqual([2 * MIB])
  })

  test('200 calls at once in one session over two nodes', async () => {
    await using nodes = await startNodes({ store, host, adapter: 'node' })
    const session = await Session.begin(nodes)
    const texts = Array.from({ length: 200 }, (_, n) => `call ${n}`)
    const results = texts.map((text, node) => session.result('echo', { text }, { node: node % 2 }))
    expect(await Promise.all(results)).toEqual(texts)
    expect(nodes.made).toHaveLength(host === 'upstream' ? 1 : 2)
  })

  test('200 calls that all run at the same time', async () => {
    await using nodes = await startNodes({ store, host, adapter: 'node' })
    const session = await Session.begin(nodes)
    const calls = Array.from({ length: 200 }, (_, n) =>
      session.result('wait', { gate: 'g' }, { node: n % 2 }),
    )
    await nodes.world.happened.until('started g', 200)
    nodes.world.gates.open('g')
    const results = await Promise.all(calls)
    const expected = calls.map((_, n) => `g on ${nodes.servers[n % 2]}`)
    expect(results).toEqual(expected)
  })
})
