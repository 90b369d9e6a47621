import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { durablePrompt, durableResource, durableTool } from '../../src/index.js'
import type { DurableContext, Store } from '../../src/index.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes, NodesOptions } from '../support/nodes.js'
import { RunningCall } from '../support/running-call.js'
import { textOf } from '../support/session.js'
import type { Session } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { waitAt } from '../support/tools.js'
import { waitFor } from '../../../../test-support/index.js'
import { overriding } from '../support/overriding.js'

/**
 * What a node is of; `broken`: its factory throws as often. `reads`: the names of its prompts and resources. `off`: it has disabled them.
 * `withdraws`: what reads one takes it from its session.
 */
type Version = {
  tools?: readonly string[]
  broken?: number
  reads?: readonly string[]
  off?: boolean
  withdraws?: 'disable' | 'remove'
}

function server(
  node: number,
  { tools = ['order'], broken = 0, reads = ['plan', 'other'], off = false, withdraws }: Version,
  nodes: () => Nodes,
) {
  let failures = 0
  return () => {
    if (failures++ < broken) {
      nodes().world.happened.add(`node ${node} can’t`)
      throw new Error('DATABASE_URL is not set')
    }
    const capabilities = { tools: {}, logging: {} }
    const made = new McpServer({ name: 'versions', version: '1' }, { capabilities })
    const run = async (signal: AbortSignal) => {
      nodes().world.happened.add(`effect on ${node}`)
      await waitAt(`gate ${node}`, { world: nodes().world, signal })
      return { content: [{ type: 'text' as const, text: `run by ${node}` }] }
    }
    for (const tool of ['other', ...tools]) {
      const registered = made.registerTool(
        tool,
        {},
        durableTool(async (_args, ctx) => {
          if (tool === 'once') registered.disable()
          return run(ctx.signal)
        }),
      )
    }
    // What has said something is journaled.
    const all: { disable(): void; remove(): void }[] = []
    const read = async (ctx: DurableContext<never>) => {
      if (withdraws) for (const one of all) one[withdraws]()
      await ctx.info('reading')
      const { content } = await run(ctx.signal)
      return content[0]!
    }
    const contents = durableResource(async (uri: URL, ctx: DurableContext) => ({
      contents: [{ uri: uri.href, text: (await read(ctx as DurableContext<never>)).text }],
    }))
    for (const name of reads) {
      const prompt = made.registerPrompt(
        name,
        {},
        durablePrompt(async (_args, ctx) => ({
          messages: [{ role: 'user' as const, content: await read(ctx as DurableContext<never>) }],
        })),
      )
      const resource = made.registerResource(name, `note://${name}`, {}, contents)
      const template = made.registerResource(
        `${name} of a day`,
        new ResourceTemplate(`${name}://{day}`, { list: undefined }),
        {},
        durableResource(async (uri: URL, _variables: unknown, ctx: DurableContext) => ({
          contents: [{ uri: uri.href, text: (await read(ctx as DurableContext<never>)).text }],
        })),
      )
      all.push(prompt, resource, template)
    }
    if (off) for (const one of all) one.disable()
    return made
  }
}

/** Node 0 runs the call. Node 2 claims nothing from the dead before node 1 has given it back. */
async function deployed(versions: Version[], options: NodesOptions, { hears = true } = {}) {
  let giveBack!: () => void
  const givenBack = new Promise<void>((resolve) => (giveBack = resolve))
  const wrap = (own: Store, node: number) => {
    const claimCall: Store['claimCall'] = async (scope, callId, claim) => {
      if (node > 1 && !hears && claim.last !== undefined) return undefined
      if (node > 1 && claim.last === undefined) await givenBack
      const outcome = await own.claimCall(scope, callId, claim)
      if (node === 1 && claim.counts === -1) giveBack()
      return outcome
    }
    return overriding(own, { claimCall })
  }
  const factories = versions.map((version, node) => server(node, version, () => nodes))
  const nodes: Nodes = await startNodes({
    wrap,
    ...options,
    count: versions.length,
    settings: { validateEffects: false, ...options.settings },
    serverOf: (node) => factories[node]!,
  })
  return nodes
}

/** A call that node 0 runs. */
async function running(nodes: Nodes, method = 'tools/call', params: object = { name: 'order' }) {
  const call = await RunningCall.begin(nodes, method, params)
  await nodes.world.happened.until('effect on 0')
  return call
}

/** The last message at whichever node, after the first one has left in the middle of the call. */
async function takenOver(nodes: Nodes, method?: string, params?: object) {
  await using call = await running(nodes, method, params)
  await call.leave()
  for (const node of [1, 2]) nodes.world.gates.open(`gate ${node}`)
  return (await call.resumed()).at(-1)
}

const BY_TEMPLATE = { uri: 'plan://monday' }
const READS: [what: string, method: string, params: object][] = [
  ['prompt', 'prompts/get', { name: 'plan' }],
  ['resource', 'resources/read', { uri: 'note://plan' }],
  ['resource of a template', 'resources/read', BY_TEMPLATE],
]

describe.concurrent.each(STORES)('a node that can’t run a call gives it back, %s', (store) => {
  test.each([
    ['its factory throws', { broken: Infinity }],
    ['it does not have the tool', { tools: [] }],
  ])('%s: another one finishes it', async (_why, version) => {
    await using nodes = await deployed([{}, version, {}], { store, settings: { maxAttempts: 2 } })
    expect(textOf(await takenOver(nodes))).toBe('run by 2')
    expect(nodes.world.happened.count('effect on 2')).toBe(1)
    const returned = nodes.logs.filter(({ message }) => message === 'a call was given back')
    expect(returned).toHaveLength(1)
  })

  test.each(READS)('it has not this %s, or none: another one finishes it', async (_what, method, params) => {
    for (const version of [{ reads: ['other'] }, { reads: [] }, { off: true }]) {
      await using nodes = await deployed([{}, version, {}], { store, settings: { maxAttempts: 2 } })
      expect(JSON.stringify(await takenOver(nodes, method, params))).toContain('run by 2')
      expect(nodes.logs.filter(({ message }) => message === 'a call was given back')).toHaveLength(1)
    }
  })

  test.each(READS)(
    'its session has withdrawn the %s: no other one is asked',
    async (_what, method, params) => {
      for (const withdraws of ['disable', 'remove'] as const) {
        await using nodes = await deployed([{ withdraws }, {}], { store })
        // The SDK 1.x reads by templates that are disabled.
        const how = withdraws === 'disable' && params === BY_TEMPLATE ? 'result' : 'error'
        expect(await takenOver(nodes, method, params)).toHaveProperty(how)
        expect(nodes.logs.map(({ message }) => message)).not.toContain('a call was given back')
      }
    },
  )

  test('its session has disabled the tool, so no node has it: the call ends as unknown', async () => {
    const version = { tools: ['once'] }
    await using nodes = await deployed([version, version], { store })
    const told = textOf(await takenOver(nodes, 'tools/call', { name: 'once' }))
    expect(told).toMatch(/once was interrupted.*outcome is unknown/)
    expect(nodes.world.happened.count('effect on 1')).toBe(0)
  })

  test('alone, it tries again, and what it had given back is no run', async () => {
    await using nodes = await deployed([{}, { broken: 2 }], { store, settings: { maxAttempts: 2 } })
    expect(textOf(await takenOver(nodes))).toBe('run by 1')
    expect(nodes.world.happened.count('node 1 can’t')).toBe(2)
  })

  test('if nobody can for long, the call ends', async () => {
    await using nodes = await deployed([{}, { broken: Infinity }, { tools: [] }], {
      store,
      settings: { maxUnservedMs: 1500 },
    })
    expect(textOf(await takenOver(nodes))).toMatch(/order was interrupted.*outcome is unknown/)
  })

  test('it goes, and nobody has heard that it had given a call back: that is found like any other', async () => {
    await using nodes = await deployed([{}, { broken: Infinity }, {}], { store }, { hears: false })
    await using call = await running(nodes)
    await call.leave()
    await waitFor(() => nodes.logs.some(({ message }) => message === 'a call was given back'))
    await nodes.mcp(1).close({ graceMs: 0 })
    nodes.world.gates.open('gate 2')
    expect((await call.resumed(2)).map(textOf).at(-1)).toBe('run by 2')
  })

  test('records of a newer version are left to a newer node', async () => {
    await using nodes = await deployed([{}, {}], { store, settings: { maxUnservedMs: 0 } })
    await using call = await running(nodes)
    await poison(nodes, call.session, 'from-the-future {}')
    await call.leave()
    expect((await call.resumed()).map(textOf).at(-1)).toMatch(/outcome is unknown/)
    expect(nodes.world.happened.count('effect on 1')).toBe(0)
  })

  test('a journal that brings nodes down is not loaded once too often', async () => {
    await using nodes = await deployed([{}, {}], { store, settings: { maxAttempts: 1 } })
    await using call = await running(nodes)
    await poison(nodes, call.session, 'step {"no": json')
    await call.leave()
    expect((await call.resumed()).map(textOf).at(-1)).toMatch(/interrupted 1 times/)
  })

  test('a journal that nobody can read ends by the number of attempts', async () => {
    await using nodes = await deployed([{}, {}], { store, settings: { maxAttempts: 2 } })
    await using call = await running(nodes)
    await poison(nodes, call.session, 'step {"no": json')
    await call.leave()
    expect((await call.resumed()).map(textOf).at(-1)).toMatch(/interrupted 2 times/)
    expect(nodes.world.happened.count('effect on 1')).toBe(0)
  })
})

/** Something that this version does not know, behind what the owner has written. */
async function poison(nodes: Nodes, { id: scope }: Session, data: string) {
  const store = nodes.stores[0]!
  const [{ callId } = { callId: '' }] = await store.listOpenCalls(scope)
  const last = (await store.read(scope, `call:${callId}`, '-', 1000))!.at(-1)!
  const [epoch, seq] = last.id.split('-').map(Number)
  await store.appendCall(scope, callId, [{ id: `${epoch}-${seq! + 100}`, data }])
}
