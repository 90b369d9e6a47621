import { appendFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { durableTool } from '@mcp-durable/core'
import type { Durable, DurableContext, TaskMode } from '@mcp-durable/core'
import { ledgerDigest } from '@mcp-durable/examples/dist/fixtures/ledger-tools.js'
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'

const NAP_MS = 20
const requestedSchema = {
  type: 'object' as const,
  properties: { answer: { type: 'string' as const } },
  required: ['answer'],
}

/** One of each kind of step, one after the other; and the same as a task, if its client takes tasks. */
export function registerScenario(server: McpServer, ledger: string): void {
  const scenario = (name: string, task: TaskMode) =>
    durableTool({ task }, async ({ id }: { id: string }, context) => {
      const ctx = context as DurableContext
      const effect = (step: string) => {
        appendFileSync(ledger, `${name} ${id} ${step} ${process.pid}\n`)
        return randomUUID()
      }
      const made = await ctx.atLeastOnce('make', () => effect('make'))
      await ctx.progress(1, 3, made)
      const paid = await ctx.atMostOnce('pay', () => effect('pay')).catch((error: Error) => error.name)
      await ctx.info({ paid })
      const { content } = await ctx.elicit('ask', { message: `${id} ask`, requestedSchema })
      await ctx.progress(2, 3, paid)
      await ctx.sleep('nap', NAP_MS)
      const visits = await ctx.state.update((count) => Number(count ?? 0) + 1)
      // The key differs each time this is run, so a change that were applied twice would leave two.
      await ctx.map(`made-${id}`).insert([[randomUUID(), Buffer.from(made)]])
      const drawn = await ctx.random('draw')
      await ctx.progress(3, 3)
      const values = [made, paid, String(content?.['answer']), String(visits), String(drawn)]
      return { content: [{ type: 'text' as const, text: ledgerDigest(values) }] }
    })
  const inputSchema = { id: z.string() }
  server.registerTool('scenario', { inputSchema }, scenario('scenario', 'never'))
  server.registerTool('task', { inputSchema }, scenario('task', 'always'))
}

const BULK_STEPS = 3

/** Says after each step what it came to, in messages as long as is asked for. */
export function registerBulk(server: McpServer, ledger: string): void {
  server.registerTool(
    'bulk',
    { inputSchema: { id: z.string(), chars: z.number(), delayMs: z.number() } },
    durableTool(async ({ id, chars, delayMs }, ctx) => {
      const values: string[] = []
      for (let step = 1; step <= BULK_STEPS; step++) {
        const value = await ctx.atLeastOnce(`bulk-${step}`, async ({ signal }) => {
          appendFileSync(ledger, `bulk ${id} bulk-${step} ${process.pid}\n`)
          await delay(delayMs, undefined, { signal })
          return randomUUID()
        })
        values.push(value)
        await ctx.progress(step, BULK_STEPS, value.repeat(Math.ceil(chars / value.length)))
      }
      return { content: [{ type: 'text', text: ledgerDigest(values) }] }
    }),
  )
}

/** A tool of the SDK alone that has an effect, and says nothing of whether it may be run again. */
export function registerPlain(server: McpServer, ledger: string): void {
  server.registerTool(
    'plain',
    { inputSchema: { id: z.string() } },
    async ({ id }, { _meta, sendNotification }) => {
      appendFileSync(ledger, `plain ${id} plain ${process.pid}\n`)
      const { progressToken } = _meta ?? {}
      if (progressToken !== undefined) {
        const params = { progressToken, progress: 1, total: 1 }
        await sendNotification({ method: 'notifications/progress', params })
      }
      return { content: [{ type: 'text', text: ledgerDigest([id]) }] }
    },
  )
}

/** A plain tool that says it only reads. Without a delay it answers before it has to be recorded. */
export function registerLook(server: McpServer): void {
  server.registerTool(
    'look',
    { inputSchema: { id: z.string(), delayMs: z.number() }, annotations: { readOnlyHint: true } },
    async ({ id, delayMs }, { _meta, sendNotification, signal }) => {
      const { progressToken } = _meta ?? {}
      if (delayMs > 0 && progressToken !== undefined) {
        const params = { progressToken, progress: 1, total: 1 }
        await sendNotification({ method: 'notifications/progress', params })
        await delay(delayMs, undefined, { signal })
      }
      return { content: [{ type: 'text', text: ledgerDigest([id]) }] }
    },
  )
}

const BESIDE = 4

/** Asks two questions at once, and says something meanwhile. */
export function registerBeside(server: McpServer, ledger: string): void {
  server.registerTool(
    'beside',
    { inputSchema: { id: z.string(), delayMs: z.number() } },
    durableTool(async ({ id, delayMs }, ctx) => {
      const ask = async (name: string) => {
        const { content } = await ctx.elicit(name, { message: `${id} ${name}`, requestedSchema })
        return String(content?.['answer'])
      }
      const work = async () => {
        const values: string[] = []
        for (let step = 1; step <= BESIDE; step++) {
          const value = await ctx.atLeastOnce(`beside-${step}`, async ({ signal }) => {
            appendFileSync(ledger, `beside ${id} beside-${step} ${process.pid}\n`)
            await delay(delayMs, undefined, { signal })
            return randomUUID()
          })
          values.push(value)
          await ctx.progress(step, BESIDE, value)
        }
        return values
      }
      const [values, ...answers] = await Promise.all([work(), ask('question-1'), ask('question-2')])
      return { content: [{ type: 'text', text: ledgerDigest([...answers, ...values]) }] }
    }),
  )
}

/** Takes its time, so that its client may go away before it ends. */
export function registerLinger(server: McpServer, ledger: string): void {
  server.registerTool(
    'linger',
    { inputSchema: { id: z.string(), delayMs: z.number() } },
    durableTool(async ({ id, delayMs }, ctx) => {
      const values: string[] = []
      for (const step of ['linger-1', 'linger-2']) {
        const value = await ctx.atLeastOnce(step, () => {
          appendFileSync(ledger, `linger ${id} ${step} ${process.pid}\n`)
          return randomUUID()
        })
        values.push(value)
        await ctx.progress(values.length, 2, value)
        await ctx.sleep(`after ${step}`, delayMs / 2)
      }
      return { content: [{ type: 'text', text: ledgerDigest(values) }] }
    }),
  )
}

/** It runs for a while, may fail, and notes when each run and each step of each call began. Counted in a quota. */
export function registerCounted(server: McpServer, ledger: string): void {
  server.registerTool(
    'counted',
    { inputSchema: { id: z.string(), delayMs: z.number(), fails: z.number() } },
    durableTool({ task: 'always' }, async ({ delayMs, fails }, context) => {
      const ctx = context as DurableContext
      const effect = (what: string) => {
        appendFileSync(ledger, `counted ${ctx.callId} ${what} ${process.pid} ${Date.now()}\n`)
        return randomUUID()
      }
      effect('run')
      const first = await ctx.atLeastOnce('first', () => effect('first'))
      await delay(delayMs, undefined, { signal: ctx.signal })
      const second = await ctx
        .atMostOnce('second', () => effect('second'))
        .catch((error: Error) => error.name)
      const luck = await ctx.random('luck')
      if (luck * 100 < fails) throw new Error('no luck')
      return { content: [{ type: 'text', text: ledgerDigest([first, second, String(luck)]) }] }
    }),
  )
}

/** Tells those who listen that a resource has changed; `to`: only this principal. */
export function registerTell(server: McpServer, changed: () => Durable['changed']): void {
  server.registerTool(
    'tell',
    { inputSchema: { id: z.string(), uri: z.string(), to: z.string().optional() } },
    durableTool(async ({ id, uri, to }, ctx) => {
      await ctx.atLeastOnce('tell', async () => {
        await changed().resource(uri, to === undefined ? {} : { principal: to })
        return null
      })
      return { content: [{ type: 'text', text: ledgerDigest([id]) }] }
    }),
  )
}
