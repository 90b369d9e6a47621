import {
  McpServer as McpServerV1,
  ResourceTemplate as TemplateV1,
} from '@modelcontextprotocol/sdk/server/mcp.js'
import { McpServer as McpServerV2, ResourceTemplate as TemplateV2 } from '@modelcontextprotocol/server'
import { describe, expect, test } from 'vitest'
import { durablePrompt, durableResource } from '../../src/index.js'
import { SDKS, startNodes } from '../support/nodes.js'
import type { Nodes, NodesOptions, Sdk } from '../support/nodes.js'
import { RunningCall } from '../support/running-call.js'
import { STORES } from '../support/stores.js'
import { waitAt } from '../support/tools.js'

// What a deploy makes of the prompts and resources of a server while they are read.

type Kind = 'plain' | 'durable'
type Say = (notification: { method: string; params: object }) => Promise<void>
/** What handlers get last: of SDK 1.x, of 2.x, or in a durable one. */
type Extra = {
  signal: AbortSignal
  sendNotification?: Say
  mcpReq?: { signal: AbortSignal; notify: Say }
  notify?: Say
}

const READS = [
  { what: 'prompt', method: 'prompts/get', params: { name: 'plan' } },
  { what: 'resource', method: 'resources/read', params: { uri: 'note://plan' } },
  { what: 'resource of a template', method: 'resources/read', params: { uri: 'plan://monday' } },
]

function version(sdk: Sdk, kind: Kind, node: number, nodes: () => Nodes) {
  const info = [{ name: 'notes', version: '1' }, { capabilities: { logging: {} } }] as const
  const server =
    sdk === 'v1' ? new McpServerV1(...info) : (new McpServerV2(...info) as unknown as McpServerV1)
  const templateOf = sdk === 'v1' ? TemplateV1 : (TemplateV2 as unknown as typeof TemplateV1)
  const read = async (...args: unknown[]) => {
    const extra = args.at(-1) as Extra
    const { world } = nodes()
    world.happened.add(`effect of ${kind}`)
    const { signal, sendNotification = extra.notify?.bind(extra) } = extra.mcpReq
      ? { ...extra.mcpReq, sendNotification: extra.mcpReq.notify }
      : extra
    // What has said something is journaled.
    await sendNotification?.({ method: 'notifications/message', params: { level: 'info', data: 'reading' } })
    await waitAt(`gate ${node}`, { world, signal })
    const text = `run by ${kind}`
    return {
      messages: [{ role: 'user' as const, content: { type: 'text' as const, text } }],
      contents: [{ uri: 'note://plan', text }],
    }
  }
  const isDurable = kind === 'durable'
  server.registerPrompt('plan', {}, isDurable ? durablePrompt(read) : read)
  server.registerResource('plan', 'note://plan', {}, isDurable ? durableResource(read) : read)
  const template = new templateOf('plan://{day}', { list: undefined })
  server.registerResource('plan of a day', template, {}, isDurable ? durableResource(read) : read)
  return server
}

/** A request that the first node runs until it leaves goes on at the others. */
async function readThrough(
  kinds: Kind[],
  { sdk, method, params, ...options }: NodesOptions & { sdk: Sdk; method: string; params: object },
) {
  const nodes: Nodes = await startNodes({
    ...options,
    count: kinds.length,
    settings: { validateEffects: false, ...options.settings },
    serverOf: (node) => () => version(sdk, kinds[node] ?? 'plain', node, () => nodes),
  })
  await using _ = nodes
  await using call = await RunningCall.begin(nodes, method, params)
  await nodes.world.happened.until('started gate 0')
  await call.leave()
  for (const node of kinds.keys()) nodes.world.gates.open(`gate ${node}`)
  return { told: JSON.stringify((await call.resumed()).at(-1)), effects: nodes.world.happened.all }
}

const SYSTEMS = STORES.flatMap((store) => SDKS.map((sdk) => ({ store, sdk })))
/** The SDK 2.x does not show the handler of a prompt. */
const seen = (sdk: Sdk) => READS.filter(({ what }) => sdk === 'v1' || what !== 'prompt')

describe.concurrent.each(SYSTEMS)('a deploy while something is read, $store, SDK $sdk', ({ store, sdk }) => {
  test.each(seen(sdk))('a durable $what is not read by a plain one', async (read) => {
    const options = { store, sdk, ...read, settings: { maxUnservedMs: 0 } }
    const { told, effects } = await readThrough(['durable', 'plain'], options)
    expect(told).toMatch(/was interrupted.*not run again/)
    expect(effects).not.toContain('effect of plain')
  })

  test.each(seen(sdk))('a durable $what is given back to a durable one', async (read) => {
    const { told, effects } = await readThrough(['durable', 'plain', 'durable'], { store, sdk, ...read })
    expect(told).toContain('run by durable')
    expect(effects).not.toContain('effect of plain')
  })

  const others = [
    ['plain', 'plain'],
    ['plain', 'durable'],
    ['durable', 'durable'],
  ] as const
  test.each(others.flatMap(([was, is]) => READS.map((read) => ({ was, is, ...read }))))(
    'a $was $what that is $is now is read again',
    async ({ was, is, ...read }) => {
      const { told } = await readThrough([was, is], { store, sdk, ...read })
      expect(told).toContain(`run by ${is}`)
    },
  )
})
