import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { META, SESSIONLESS } from '../../src/protocol.js'
import { Alone } from '../support/alone.js'
import type { AloneWhere } from '../support/alone.js'
import { startNodes } from '../support/nodes.js'
import { BOTH, expectRefused, expectStream, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import type { StoreKind } from '../support/stores.js'

const start = (store: StoreKind = 'memory') =>
  startNodes({
    store,
    settings: { eras: ['2026-07-28'], heartbeatMs: 50, sweepMs: 50, leaseMs: 1000 },
  })

const by = (key: string, where: AloneWhere = {}): AloneWhere => ({
  ...where,
  headers: { 'idempotency-key': key },
})

describe.each(STORES)('a call that is sent again with its key, %s', (store) => {
  test('is the same call on any node, while it runs and after it has ended', async () => {
    await using nodes = await start(store)
    const client = new Alone(nodes)
    const key = randomUUID()
    await using first = await client.call('wait', { gate: 'g' }, by(key, { id: 1 }))
    const priming = await first.next()
    await using again = await client.call('wait', { gate: 'g' }, by(key, { node: 1, id: 2 }))
    await again.next()
    await using resumed = await client.stream(priming?.id, { node: 1 })
    nodes.world.gates.open('g')
    const results = [await first.messages(), await again.messages(), await resumed.messages()]
    expect(results.map((messages) => messages.map((message) => ('id' in message ? message.id : 0)))).toEqual([
      [1],
      [2],
      [1],
    ])
    for (const messages of results) expect(textOf(messages.at(-1))).toBe('g on node-0')
    await using late = await client.call('wait', { gate: 'g' }, by(key, { node: 1, id: 3 }))
    expect(textOf((await late.messages()).at(-1))).toBe('g on node-0')
    expect(nodes.world.happened.count('started g')).toBe(1)
  })

  test('by many at once, it runs once', async () => {
    await using nodes = await start(store)
    const client = new Alone(nodes)
    const key = randomUUID()
    const streams = await Promise.all(
      Array.from({ length: 8 }, (_, n) => client.call('wait', { gate: 'g' }, by(key, { node: n % 2 }))),
    )
    nodes.world.gates.open('g')
    const results = await Promise.all(streams.map((stream) => stream.messages()))
    expect(new Set(results.map((messages) => textOf(messages.at(-1)))).size).toBe(1)
    expect(nodes.world.happened.count('started g')).toBe(1)
  })

  test('goes on when its node is gone', async () => {
    await using nodes = await start(store)
    const client = new Alone(nodes)
    const key = randomUUID()
    await using first = await client.call('look', { gate: 'g' }, by(key))
    await first.next()
    await nodes.world.happened.until('started g')
    await nodes.mcp(0).close({ graceMs: 0 })
    await using again = await client.call('look', { gate: 'g' }, by(key, { node: 1 }))
    nodes.world.gates.open('g')
    expect(textOf((await again.messages()).at(-1))).toBe('g on node-1')
  })

  test('with another body is refused', async () => {
    await using nodes = await start(store)
    const client = new Alone(nodes)
    const key = randomUUID()
    await using first = await client.call('echo', { text: 'one' }, by(key))
    await first.messages()
    const other = { name: 'echo', arguments: { text: 'two' } }
    await expectRefused(await client.request('tools/call', other, by(key, { node: 1 })), 422, -32602)
  })

  test('is the same with numbers that JSON writes otherwise than it reads them', async () => {
    await using nodes = await start(store)
    const client = new Alone(nodes)
    const key = randomUUID()
    const body = JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: {
        name: 'echo',
        arguments: { text: 'x', lost: ['NUMBER'] },
        _meta: { [META.protocolVersion]: SESSIONLESS, [META.clientCapabilities]: {} },
      },
    }).replace('"NUMBER"', '-0, -0.0, 1e400')
    const own = { ...by(key).headers, accept: BOTH, 'content-type': 'application/json' }
    const headers = { ...own, 'mcp-method': 'tools/call', 'mcp-name': 'echo' }
    for (const node of [0, 1]) {
      await using stream = await expectStream(await client.send('POST', body, { node, headers }))
      expect(textOf((await stream.messages()).at(-1))).toBe('x')
    }
  })

  test('belongs to its caller: with the key of another one it is a call of its own', async () => {
    await using nodes = await start(store)
    const client = new Alone(nodes)
    const texts: string[] = []
    for (const who of ['ann/1', 'bob/1']) {
      await using stream = await client.call('echo', { text: who }, by('order-42', { who }))
      texts.push(textOf((await stream.messages()).at(-1)))
    }
    expect(texts).toEqual(['ann/1', 'bob/1'])
  })
})

test('where nobody is known, a key must be a secret', async () => {
  await using nodes = await start()
  const params = { name: 'echo', arguments: { text: 'x' } }
  await expectRefused(await new Alone(nodes).request('tools/call', params, by('order-42')), 400)
})
