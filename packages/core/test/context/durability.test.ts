import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { describe, expect, test } from 'vitest'
import { parseRecord } from '../../src/call/record.js'
import { StoreError } from '../../src/error-classes.js'
import { durableTool } from '../../src/index.js'
import type { DurableContext } from '../../src/index.js'
import type { NewEntry } from '../../src/store/index.js'
import { startNodes } from '../support/nodes.js'
import type { NodesOptions } from '../support/nodes.js'
import { overriding } from '../support/overriding.js'
import { Session, textOf } from '../support/session.js'
import { STORES } from '../support/stores.js'

/** What the tool answers. */
async function answerOf(handler: (ctx: DurableContext) => Promise<string>, options: NodesOptions = {}) {
  await using nodes = await startNodes({
    count: 1,
    ...options,
    serverOf: () => () => {
      const server = new McpServer({ name: 's', version: '1' })
      const run = durableTool(async (_args, ctx) => ({
        content: [{ type: 'text' as const, text: await handler(ctx) }],
      }))
      server.registerTool('run', {}, run)
      return server
    },
  })
  const session = await Session.begin(nodes)
  return (await (await session.call('run')).messages()).map(textOf).at(-1)
}

describe.each(STORES)('[N-3] on a store that has no replica, %s', (store) => {
  test('a step whose records must be replicated is refused, and its body is not run; the next step is', async () => {
    let ran = 0
    const step = async (ctx: DurableContext) => {
      const failure: unknown = await ctx
        .atMostOnce('charge', () => ++ran, { durability: 'replicated' })
        .catch((error: unknown) => error)
      const charged = await ctx.atMostOnce('charge', () => ++ran).catch((error: Error) => error.name)
      const code = failure instanceof StoreError ? `${failure.code} ${failure.message}` : 'no error'
      return `${code}; ${charged}; ${await ctx.atMostOnce('mail', () => ++ran, { durability: 'memory' })}`
    }
    expect(await answerOf(step, { store })).toMatch(
      /^store-failed What is written can't be 'replicated': .+; DuplicateStepError; 1$/,
    )
  })
})

test('[N-3] the start and the end of a step are written as durable as it asks, and nothing else is', async () => {
  const asked: string[] = []
  const wrap: NodesOptions['wrap'] = (store) => {
    const note = (entries: readonly NewEntry[]) => {
      for (const { data, durability } of entries) {
        const record = parseRecord(data)
        const what = record.kind === 'step' ? `${record.step.id} ${record.step.phase}` : record.kind
        asked.push(`${what}: ${durability}`)
      }
    }
    return overriding(store, {
      requireDurability: async (durability) => void asked.push(`can it be ${durability}?`),
      appendCall: (scope, callId, entries, ...rest) => {
        note(entries)
        return store.appendCall(scope, callId, entries, ...rest)
      },
      appendQuietly: (scope, callId, entries) => {
        note(entries)
        return store.appendQuietly(scope, callId, entries)
      },
    })
  }
  await answerOf(
    async (ctx) => {
      await ctx.atMostOnce('charge', () => 'done', { durability: 'fsync' })
      await ctx.atMostOnce('mail', () => 'done')
      await ctx.atLeastOnce('look', () => 'done')
      return ctx.atLeastOnce('pay', () => 'done', { durability: 'replicated' })
    },
    { wrap },
  )
  expect(asked).toEqual([
    'can it be fsync?',
    'charge started: fsync',
    'charge done: fsync',
    'mail started: undefined',
    'mail done: undefined',
    'look done: undefined',
    'can it be replicated?',
    'pay done: replicated',
    'response: undefined',
  ])
})

test('a durability that there is not is a mistake in the code', async () => {
  const wrong = { durability: 'disk' } as unknown as { durability: 'fsync' }
  const answer = answerOf((ctx) =>
    ctx.atMostOnce('charge', () => 'x', wrong).catch((error: Error) => error.message),
  )
  expect(await answer).toBe(`The durability of the step "charge" is 'memory', 'fsync' or 'replicated'.`)
})
