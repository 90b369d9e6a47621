import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { McpServer as McpServerV2 } from '@modelcontextprotocol/server'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { waitFor } from '../../../../test-support/index.js'
import { durablePrompt, durableTool } from '../../src/index.js'
import type { DurableContext, Store } from '../../src/index.js'
import { runsOf } from '../../src/runs/index.js'
import { Alone } from '../support/alone.js'
import { SDKS, startNodes } from '../support/nodes.js'
import type { Nodes, Sdk } from '../support/nodes.js'
import { overriding } from '../support/overriding.js'
import { RunningCall } from '../support/running-call.js'
import { textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { waitAt } from '../support/tools.js'

// What becomes of a call that the server object answers without its handler, which an earlier run has begun. Node 0 begins it; node 1
// takes other arguments; node 2 has the code of node 0, and takes nothing before it is let.

const REQUESTS = [
  ['tools/call', { name: 'pay', arguments: { amount: '5' } }],
  ['prompts/get', { name: 'plan', arguments: { amount: '5' } }],
] as const

/** `withdraws`: the prompt takes itself from its session. */
async function start(store: (typeof STORES)[number], sdk: Sdk = 'v1', { withdraws = false } = {}) {
  const server = (node: number) => () => {
    const { happened } = nodes.world
    const info = { name: 'refusing', version: '1' }
    const made = sdk === 'v1' ? new McpServer(info) : (new McpServerV2(info) as unknown as McpServer)
    const amount = z.object({ [node === 1 ? 'total' : 'amount']: z.string() })
    const work = async (ctx: DurableContext) => {
      await ctx.atMostOnce('charge', () => happened.add('charged'))
      if (withdraws) plan.disable()
      await waitAt(`gate ${node}`, { world: nodes.world, signal: ctx.signal })
      return { type: 'text' as const, text: `run by ${node}` }
    }
    made.registerTool(
      'pay',
      { inputSchema: amount },
      durableTool(async (_args, ctx) => ({ content: [await work(ctx)] })),
    )
    const plan = made.registerPrompt(
      'plan',
      { argsSchema: (sdk === 'v1' ? amount.shape : amount) as typeof amount.shape },
      durablePrompt(async (_args, ctx) => ({
        messages: [{ role: 'user' as const, content: await work(ctx) }],
      })),
    )
    return made
  }
  const wrap = (own: Store, node: number) => {
    const claimCall: Store['claimCall'] = async (...claim) => {
      if (node === 2) await nodes.world.happened.until('let')
      return own.claimCall(...claim)
    }
    return overriding(own, { claimCall })
  }
  const nodes: Nodes = await startNodes({
    store,
    wrap,
    count: 3,
    settings: { validateEffects: false, eras: ['2025-11-25', '2026-07-28'] },
    settingsOf: (node) => ({ version: `v${node + 1}` }),
    serverOf: server,
  })
  for (const node of [1, 2]) nodes.world.gates.open(`gate ${node}`)
  return {
    nodes,
    happened: nodes.world.happened,
    errors: () => nodes.logs.filter(({ level }) => level === 'error'),
    async [Symbol.asyncDispose]() {
      nodes.world.happened.add('let')
      await nodes[Symbol.asyncDispose]()
    },
  }
}

describe.concurrent.each(STORES)('a call that the code refuses behind a recorded step, %s', (store) => {
  test.each(SDKS.flatMap((sdk) => REQUESTS.map(([method, params]) => ({ sdk, method, params }))))(
    '$method of $sdk is parked, and ended by code that takes it',
    async ({ sdk, method, params }) => {
      await using of = await start(store, sdk)
      await using call = await RunningCall.begin(of.nodes, method, params)
      await of.happened.until('started gate 0')
      await call.leave()
      await waitFor(() => of.errors().length === 1)
      const [{ message, fields } = {}] = of.errors()
      expect(message).toMatch(/^DivergenceError: .*"charge" as number 1.*answered before its handler began/)
      expect(fields).toMatchObject({ expected: 'charge', refused: true, recordedBy: 'v1', version: 'v2' })
      // Whoever has it tried again hears the same, and it is not spent.
      const [open] = await of.nodes.stores[1]!.listOpenCalls(call.session.id)
      const place = { scope: call.session.id, callId: open!.callId }
      await waitFor(async () => {
        await runsOf(of.nodes.stores[1]!, { by: 'ann' }).retry(place)
        return of.errors().length > 1
      })
      of.happened.add('let')
      expect(JSON.stringify((await call.resumed()).at(-1))).toContain('run by 2')
      expect(of.happened.count('charged')).toBe(1)
    },
  )

  test('without a session too', async () => {
    await using of = await start(store)
    const client = new Alone(of.nodes)
    const [, { name, arguments: args }] = REQUESTS[0]
    await using stream = await client.call(name, args)
    const priming = await stream.next()
    await of.happened.until('started gate 0')
    await of.nodes.mcp(0).close({ graceMs: 0 })
    await waitFor(() => of.errors().length === 1)
    of.happened.add('let')
    await using resumed = await client.stream(priming?.id, { node: 1 })
    expect(textOf((await resumed.messages()).at(-1))).toBe('run by 2')
    expect(of.happened.count('charged')).toBe(1)
  })
})

test('what its own session has switched off is answered so, on whichever node', async () => {
  await using of = await start('memory', 'v1', { withdraws: true })
  const [method, params] = REQUESTS[1]
  await using call = await RunningCall.begin(of.nodes, method, params)
  await of.happened.until('started gate 0')
  await call.leave()
  const answer = (await call.resumed()).at(-1)
  expect(answer).toMatchObject({ error: { message: expect.stringContaining('disabled') as string } })
  expect(of.errors()).toEqual([])
})
