import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { expect, describe, test } from 'vitest'
import { z } from 'zod'
import { parseRecord } from '../../src/call/record.js'
import { durable, durableTool, memoryStore } from '../../src/index.js'
import type { DurableContext } from '../../src/index.js'
import { BEGINNING } from '../../src/store/index.js'
import { Alone } from '../support/alone.js'
import { CAPABILITIES } from '../support/caller.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes, NodesOptions } from '../support/nodes.js'
import { serverV1 } from '../support/server-v1.js'
import { expectRefused, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { Taker } from '../support/taker.js'
import { World } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'

// Nodes that serve requests, and nodes that only run calls.

type Role = 'all' | 'serve' | 'work'
type Work = (ctx: DurableContext, node: number) => Promise<string>

function start(roles: readonly Role[], work: Work, { settings, ...options }: NodesOptions = {}) {
  const serverOf = (node: number) => () => {
    const made = new McpServer({ name: 'roles', version: '1' })
    const inputSchema = { text: z.string() }
    const run = async (ctx: unknown) => ({
      content: [{ type: 'text' as const, text: await work(ctx as DurableContext, node) }],
    })
    made.registerTool(
      'work',
      { inputSchema },
      durableTool({ task: 'always' }, async (_, ctx) => run(ctx)),
    )
    return made
  }
  return startNodes({
    ...options,
    serverOf,
    count: roles.length,
    settings: { validateEffects: false, sweepMs: 100, serverIdleMs: 50, ...settings },
    settingsOf: (node) => ({ role: roles[node] ?? 'all' }),
  })
}

async function nodesThatRan(nodes: Nodes, scope: string) {
  const entries = (await nodes.stores[0]!.read(scope, `call:${scope}`, BEGINNING, 1000)) ?? []
  return entries
    .map(({ data }) => parseRecord(data))
    .flatMap((record) => (record.kind === 'claim' ? [record.claim.node] : []))
}

describe.concurrent.each(STORES)('nodes with roles, %s', (store) => {
  test('a task is run by a node that works, and told of by one that serves', async () => {
    await using nodes = await start(['serve', 'work'], async (_, node) => `ran on ${node}`, { store })
    const taker = new Taker(nodes)
    const result = async () => {
      const created = await taker.call()
      expect(created).toMatchObject({ resultType: 'task', status: 'working' })
      return (await taker.until(created, 'completed')).result?.content[0]?.text
    }
    // Once it has looked at the others.
    await waitFor(async () => (await result()) === 'ran on 1')
    expect(await result()).toBe('ran on 1')
  })

  test('what sleeps is woken by a node that works', async () => {
    const work: Work = async (ctx, node) => {
      // A node that does not work lets go of it after 2 s, or a little later.
      await ctx.sleep('nap', 5000)
      return `woken on ${node}`
    }
    await using nodes = await start(['serve', 'work', 'serve'], work, {
      store,
      settings: { onDisconnect: 'finish' },
    })
    await using stream = await new Alone(nodes).call('work', { text: 'x' }, { meta: CAPABILITIES, node: 2 })
    expect(textOf((await stream.messages()).at(-1))).toBe('woken on 1')
  })

  test('where no node works, those that serve do', async () => {
    const work: Work = async (ctx, node) => {
      await ctx.sleep('nap', 2500)
      return `woken on ${node}`
    }
    await using nodes = await start(['serve', 'serve'], work, { store })
    const taker = new Taker(nodes)
    const created = await taker.call()
    await nodes.mcp(0).close({ graceMs: 0 })
    const { result } = await taker.until(created, 'completed', { node: 1 })
    expect(result?.content[0]?.text).toBe('woken on 1')
  })

  test('a node that only works takes over, and refuses requests', async () => {
    const work: Work = async (ctx, node) => {
      if (node === 0) await ctx.atLeastOnce('hang', () => new Promise<null>(() => undefined))
      return `ran on ${node}`
    }
    await using nodes = await start(['serve', 'work', 'serve'], work, { store })
    const refused = await new Alone(nodes).request('tools/list', {}, { node: 1 })
    await expectRefused(refused, 503)
    const stream = await new Alone(nodes).call('work', { text: 'x' }, { meta: CAPABILITIES })
    const first = await stream.next()
    const [scope = ''] = String(first?.id).split('.')
    await nodes.mcp(0).close({ graceMs: 0 })
    await stream[Symbol.asyncDispose]()
    await using resumed = await new Alone(nodes).stream(first?.id, { node: 2 })
    expect(textOf((await resumed.messages()).at(-1))).toBe('ran on 1')
    expect(await nodesThatRan(nodes, scope)).toHaveLength(1)
  })
})

test('a role without a store is refused', async () => {
  const server = () => serverV1('node', new World())
  expect(() => durable({ server, role: 'work' })).toThrow('need a `store`')
  expect(() => durable({ server, role: 'idle' as never })).toThrow("`role` must be 'all', 'serve' or 'work'")
  await durable({ server, role: 'all', store: memoryStore() }).close({ graceMs: 0 })
})

describe.concurrent.each(STORES)('a node that is drained, %s', (store) => {
  test('begins no call, parks what sleeps, and serves streams and polls on', async () => {
    const work: Work = async (ctx, node) => {
      await ctx.sleep('nap', 5000)
      return `woken on ${node}`
    }
    const settings = { serverIdleMs: 60_000 }
    await using nodes = await start(['all', 'all'], work, { store, settings })
    const taker = new Taker(nodes)
    await using stream = await new Alone(nodes).call('work', { text: 'x' }, { meta: CAPABILITIES })
    await stream.next()
    const created = await taker.call()
    await nodes.mcp(0).drain()
    expect(await nodes.mcp(0).health()).toMatchObject({ ready: false, live: true, leaving: true })
    await expectRefused(
      await new Alone(nodes).request('tools/call', { name: 'work', arguments: { text: 'x' } }),
      503,
    )
    expect((await taker.get(created)).status).toBe('working')
    expect(textOf((await stream.messages()).at(-1))).toBe('woken on 1')
    const { result } = await taker.until(created, 'completed')
    expect(result?.content[0]?.text).toBe('woken on 1')
  })

  test('hands what still runs to the others when its time is over', async () => {
    const work: Work = async (ctx, node) => {
      if (node === 0) await ctx.atLeastOnce('hang', () => new Promise<null>(() => undefined))
      return `ran on ${node}`
    }
    await using nodes = await start(['all', 'all'], work, { store })
    await using stream = await new Alone(nodes).call('work', { text: 'x' }, { meta: CAPABILITIES })
    await stream.next()
    await nodes.mcp(0).drain({ graceMs: 100 })
    expect(textOf((await stream.messages()).at(-1))).toBe('ran on 1')
  })
})

test('a node without a store has nobody to be drained to', async () => {
  const mcp = durable({ server: () => serverV1('node', new World()) })
  await expect(mcp.drain()).rejects.toThrow('there is nobody to hand calls to')
  await mcp.close({ graceMs: 0 })
})
