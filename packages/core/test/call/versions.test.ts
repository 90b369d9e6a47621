import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { durableTool } from '../../src/index.js'
import type { CommonOptions, Store } from '../../src/index.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { RunningCall } from '../support/running-call.js'
import { textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { waitAt } from '../support/tools.js'
import { overriding } from '../support/overriding.js'

type Code = Pick<CommonOptions, 'version' | 'whenVersionsDiffer' | 'maxUnservedMs'>

const server = (node: number, nodes: () => Nodes) => () => {
  const made = new McpServer({ name: 'versions', version: '1' })
  const order = durableTool(async (_args, ctx) => {
    nodes().world.happened.add(`effect on ${node}`)
    await waitAt(`gate ${node}`, { world: nodes().world, signal: ctx.signal })
    return { content: [{ type: 'text' as const, text: `run by ${node}` }] }
  })
  made.registerTool('order', {}, order)
  return made
}

/** Node 0 runs a call and leaves; node 1 is the first to claim it. What the call ends with, and how often it was given back. */
async function takenOver(store: (typeof STORES)[number], codes: Code[]) {
  let offered!: () => void
  const isOffered = new Promise<void>((resolve) => (offered = resolve))
  const wrap = (own: Store, node: number) => {
    const claimCall: Store['claimCall'] = async (scope, callId, claim) => {
      if (node > 1 && claim.last === undefined) await isOffered
      const outcome = await own.claimCall(scope, callId, claim)
      if (node === 1) offered()
      return outcome
    }
    return overriding(own, { claimCall })
  }
  const factories = codes.map((_, node) => server(node, () => nodes))
  await using nodes: Nodes = await startNodes({
    store,
    wrap,
    count: codes.length,
    settings: { validateEffects: false },
    settingsOf: (node) => codes[node]!,
    serverOf: (node) => factories[node]!,
  })
  await using call = await RunningCall.begin(nodes, 'tools/call', { name: 'order' })
  await nodes.world.happened.until('effect on 0')
  await call.leave()
  for (const [node] of codes.entries()) if (node > 0) nodes.world.gates.open(`gate ${node}`)
  const text = textOf((await call.resumed()).at(-1))
  const returned = nodes.logs.filter(({ message }) => message === 'a call was given back')
  return { text, returned: returned.map(({ fields }) => (fields as { reason: string }).reason) }
}

describe.concurrent.each(STORES)('calls that other code has run, %s', (store) => {
  const pin = { pinForMs: 60_000 }
  const WHY = 'code of version v1 has run it'

  test.each<[string, Code[]]>([
    ['by default', [{ version: 'v1' }, { version: 'v2' }]],
    ['with the same version', [{ version: 'v1' }, { version: 'v1', whenVersionsDiffer: 'refuse' }]],
    ['of a node without a version', [{}, { version: 'v2', whenVersionsDiffer: 'refuse' }]],
    [
      'pinned, when no node with the code is left',
      [{ version: 'v1' }, { version: 'v2', whenVersionsDiffer: pin }],
    ],
    [
      'pinned, when the time is over',
      [{ version: 'v1' }, { version: 'v2', whenVersionsDiffer: { pinForMs: 0 } }, { version: 'v1' }],
    ],
  ])('go on %s', async (_, codes) => {
    expect(await takenOver(store, codes)).toEqual({ text: 'run by 1', returned: [] })
  })

  test.each<[string, Code]>([
    ['pinned', { version: 'v2', whenVersionsDiffer: pin }],
    ['refused', { version: 'v2', whenVersionsDiffer: 'refuse' }],
  ])('%s: a node with the code goes on', async (_, other) => {
    const ended = await takenOver(store, [{ version: 'v1' }, other, { version: 'v1' }])
    expect(ended).toEqual({ text: 'run by 2', returned: [WHY] })
  })

  test('refused, they end when nobody has the code for long', async () => {
    const refuse = { version: 'v2', whenVersionsDiffer: 'refuse', maxUnservedMs: 500 } as const
    const { text, returned } = await takenOver(store, [{ version: 'v1' }, refuse])
    expect(text).toMatch(/order was interrupted.*outcome is unknown/)
    expect(returned).toContain(WHY)
  })
})
