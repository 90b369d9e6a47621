import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { durableContext, durableTool } from '../../src/index.js'
import type { DurableContext } from '../../src/index.js'
import { startNodes } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'
import type { StoreKind } from '../support/stores.js'
import { waitAt } from '../support/tools.js'

type Handler = (ctx: DurableContext, nodes: Nodes, node: number) => Promise<string>

/** Two nodes with one durable tool. */
async function start(store: StoreKind, handler: Handler) {
  const nodes: Nodes = await startNodes({
    store,
    serverOf: (node) => () => {
      const server = new McpServer({ name: 's', version: '1' })
      const run = durableTool(async (_args, ctx) => ({
        content: [{ type: 'text' as const, text: await handler(ctx, nodes, node) }],
      }))
      server.registerTool('run', {}, run)
      return server
    },
  })
  return nodes
}

/** Runs the tool on the first node until it is at the gate, then on the second one. */
async function takenOver(nodes: Nodes) {
  const session = await Session.begin(nodes)
  const priming = await (await session.call('run')).next()
  await nodes.world.happened.until('started gate 0')
  await nodes.mcp(0).close({ graceMs: 0 })
  nodes.world.gates.open('gate 1')
  await using resumed = await session.stream(priming?.id, { node: 1 })
  return (await resumed.messages()).map(textOf).at(-1)
}

describe.each(STORES)('a durable tool that is taken over, %s', (store) => {
  test('goes on after what has won a race, though the other one would win it now', async () => {
    await using nodes = await start(store, async (ctx, { world }, node) => {
      const won = await Promise.race([
        ctx.atLeastOnce('bank', async ({ signal }) => {
          if (node === 0) await waitAt('bank', { world, signal })
          return 'pay'
        }),
        ctx.sleep('patience', 5).then(() => 'give up'),
      ])
      await ctx.atMostOnce(won, () => world.happened.add(won))
      await waitAt(`gate ${node}`, { world, signal: ctx.signal })
      return won
    })
    expect(await takenOver(nodes)).toBe('give up')
    expect(nodes.world.happened.all).not.toContain('pay')
    expect(nodes.world.happened.count('give up')).toBe(1)
  })

  test('sleeps what is left of its time, and then less than that', async () => {
    await using nodes = await start(store, async (ctx, { world }, node) => {
      const order: string[] = []
      const slept = (ms: number) => ctx.sleep(`${ms}`, ms).then(() => order.push(`${ms}`))
      const waited = ctx.now('first').then(() => waitAt(`gate ${node}`, { world, signal: ctx.signal }))
      await Promise.all([slept(300), slept(200), slept(1), waited])
      return order.join()
    })
    expect(await takenOver(nodes)).toBe('1,200,300')
  })
})

test('what goes wrong in a step is on the log of its node, with the tool, the call and the stack', async () => {
  await using nodes = await start('memory', async (ctx) => {
    void ctx.atLeastOnce('forgotten', () => 1)
    await ctx.atLeastOnce('flaky', ({ attempt }) => {
      if (attempt === 1) throw new Error('not yet')
    })
    return ctx.atLeastOnce('wrong', () => (undefined as unknown as { name: string }).name)
  })
  const session = await Session.begin(nodes)
  expect(await session.result('run')).toMatch(/Cannot read properties of undefined/)
  const lines = nodes.logs.filter(({ message }) => /step|handler/.test(message))
  expect(lines).toMatchObject([
    {
      level: 'warn',
      fields: { name: 'run', attempt: 1, step: 'flaky', stepAttempt: 1, error: 'Error: not yet' },
    },
    { level: 'warn', fields: { name: 'run', step: 'wrong', stepAttempt: 1 } },
  ])
  const { error, session: about } = lines[1]!.fields as { error: Error; session: string }
  expect(error.stack).toContain('durable-tools.test.ts')
  expect(session.id.startsWith(about.slice(0, 6))).toBe(true)
})

test.each([false, true])('a plain tool ends its context with its answer; an error: %s', async (isError) => {
  const late: unknown[] = []
  await using nodes = await startNodes({
    store: 'memory',
    serverOf: () => () => {
      const server = new McpServer({ name: 's', version: '1' })
      server.registerTool('run', {}, async () => {
        const ctx = durableContext()
        await ctx.now('awaited')
        void ctx.atLeastOnce('left', ({ signal }) => {
          signal.addEventListener('abort', () => {
            late.push(signal.reason)
            nodes.world.happened.add('stopped')
          })
          return new Promise(() => undefined)
        })
        return { content: [{ type: 'text', text: 'done' }], isError }
      })
      return server
    },
  })
  const session = await Session.begin(nodes)
  const messages = await (await session.call('run')).messages()
  expect(messages.map(textOf).at(-1)).toBe('done')
  await nodes.world.happened.until('stopped')
  expect(late).toMatchObject([{ code: 'call-stopped' }])
  const told = nodes.logs.filter(({ message }) => message.startsWith('a durable handler ended before'))
  expect(told.map(({ fields }) => fields)).toMatchObject(isError ? [] : [{ steps: ['left'] }])
})
