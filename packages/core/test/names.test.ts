import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test, vi } from 'vitest'
import { durable, durableTool } from '../src/index.js'
import type { CommonOptions, Durable, Store } from '../src/index.js'
import { waitFor } from '../../../test-support/index.js'
import { BOTH } from './support/session.js'
import { openStorage, STORES } from './support/stores.js'

type Made = Durable & { warnings: string[] }

/** A node of a server with one durable tool that waits, named after the server. */
function node(server: string, store: Store, options: Partial<CommonOptions> = {}): Made {
  const warnings: string[] = []
  const note = (_fields: object, message: string) => void warnings.push(message)
  const logger = { error: note, warn: note, info: () => undefined, debug: () => undefined }
  const common = { store, logger, sweepMs: 50, ...options }
  const mcp =
    server === 'shop'
      ? durable({ ...common, server: () => serverOf('shop') })
      : durable({ ...common, server: () => serverOf('admin', 'not the same code') })
  return Object.assign(mcp, { warnings })
}

function serverOf(name: string, _what = '') {
  const mcp = new McpServer({ name, version: '1' })
  const work = durableTool(async (_args: unknown, ctx) => {
    await ctx.sleep('a while', 300)
    return { content: [{ type: 'text' as const, text: `done by ${name}` }] }
  })
  mcp.registerTool(name, {}, work)
  return mcp
}

function ask(mcp: Durable, body: object | undefined, headers: Record<string, string> = {}) {
  const all = { 'content-type': 'application/json', accept: BOTH, ...headers }
  const post = body && { method: 'POST', body: JSON.stringify({ jsonrpc: '2.0', ...body }) }
  return mcp.fetch(new Request('http://localhost/mcp', { headers: all, ...post }))
}

async function begin(mcp: Durable): Promise<Record<string, string>> {
  const clientInfo = { name: 'c', version: '1' }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
  const begun = await ask(mcp, { id: 0, method: 'initialize', params })
  return { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
}

const call = (name: string) => ({ id: 1, method: 'tools/call', params: { name, arguments: {} } })

describe.each(STORES)('two servers on one %s store', (kind) => {
  test('with names of their own have nothing to do with each other', async () => {
    await using storage = openStorage(kind)
    const [here, there] = [storage.forNode(), storage.forNode()]
    const [shop, admin] = [node('shop', here, { name: 'shop' }), node('admin', here, { name: 'admin' })]
    const [shop2, admin2] = [node('shop', there, { name: 'shop' }), node('admin', there, { name: 'admin' })]
    const session = await begin(shop)
    expect((await ask(admin, call('admin'), session)).status).toBe(404)
    expect(await admin.broadcast({ method: 'notifications/tools/list_changed' })).toBe(0)
    expect(await shop2.broadcast({ method: 'notifications/tools/list_changed' })).toBe(1)

    const stream = await ask(shop, call('shop'), session)
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader()
    const [, id = ''] = /^id: (\S+)$/m.exec((await reader.read()).value ?? '') ?? []
    await shop.close({ graceMs: 0 })
    expect(await admin.health(), 'the other one goes on').toMatchObject({ live: true, beating: true })
    const resumed = await ask(shop2, undefined, { ...session, 'last-event-id': id })
    expect(await resumed.text()).toContain('done by shop')
    const warnings = [admin, admin2, shop2].flatMap((made) => made.warnings)
    expect(warnings.filter((text) => text.includes('name'))).toEqual([])
    for (const mcp of [admin, shop2, admin2]) await mcp.close({ graceMs: 0 })
  })

  test('without are warned of at start', async () => {
    await using storage = openStorage(kind)
    const store = storage.forNode()
    const shop = node('shop', store)
    const again = node('shop', store)
    expect([...shop.warnings, ...again.warnings], 'nodes of one server').toEqual([])
    const admin = node('admin', store)
    expect(admin.warnings, 'at once').toEqual([
      expect.stringMatching(/two durable\(\) with different servers.*name: 'orders'/),
    ])
    for (const mcp of [shop, again, admin]) await mcp.close({ graceMs: 0 })
  })
})

describe.each(STORES)('several endpoints at one store object, %s', (kind) => {
  const wakes = async (store: Store) => {
    const woken = new Promise((resolve) => void store.watch('some scope', resolve))
    await waitFor(async () => {
      await store.publish('some scope', 'topic', 'value')
      return Promise.race([woken, Promise.resolve(false)])
    })
  }

  test('it is open until the last one of them is closed', async () => {
    await using storage = openStorage(kind)
    const store = storage.forNode()
    const closed = vi.spyOn(store, 'close')
    const [first, second, named] = [
      node('shop', store),
      node('shop', store),
      node('admin', store, { name: 'admin' }),
    ]
    await first.close({ graceMs: 0 })
    expect(closed).not.toHaveBeenCalled()
    await wakes(store)
    expect(await second.health()).toMatchObject({ ready: true, listening: true })
    const session = await begin(second)
    expect(await (await ask(second, call('shop'), session)).text()).toContain('done by shop')
    await second.close({ graceMs: 0 })
    expect(closed).not.toHaveBeenCalled()
    expect(await named.health()).toMatchObject({ ready: true, listening: true })
    await named.close({ graceMs: 0 })
    expect(closed).toHaveBeenCalledTimes(1)
  })
})

test('two servers without names on two store objects are warned of when they have told theirs', async () => {
  await using storage = openStorage('redis')
  const nodes = [node('shop', storage.forNode()), node('admin', storage.forNode())] as const
  for (const mcp of nodes) await begin(mcp)
  const warned = ({ warnings }: Made) => warnings.some((text) => text.includes('a node with another server'))
  await waitFor(() => nodes.every(warned), { what: 'both warnings' })
  const count = nodes[0].warnings.length
  await waitFor(async () => (await nodes[0].health()).beating)
  expect(nodes[0].warnings, 'once').toHaveLength(count)
  for (const mcp of nodes) await mcp.close({ graceMs: 0 })
})

test.each(['', 'a b', 'a:b', '{a}', 'x'.repeat(65), 5, null])('%o is no name', (name) => {
  const server = () => serverOf('shop')
  expect(() => durable({ server, name: name as string })).toThrow('`name` must be 1 to 64 letters')
})
