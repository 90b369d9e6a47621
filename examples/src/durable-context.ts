// The code of docs/durable-context.md, as it compiles. A test compares the two.
import {
  durable,
  durableContext,
  durableTool,
  principalState,
  sessionState,
  sortedMap,
  type Store,
} from '@mcp-durable/core'
import { uuid7Floor, type DurableContext } from '@mcp-durable/core'
import { AtMostOnceFailedBeforeCompleting } from '@mcp-durable/core/errors'
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'

type Receipt = { id: string }
type Bank = {
  charge: (order: string) => Promise<Receipt>
  find: (order: string) => Promise<Receipt | undefined>
}
declare const bank: Bank
declare const fraud: { check: (order: string) => Promise<void> }
declare const mail: { send: (to: string, key: string, signal?: AbortSignal) => Promise<void> }
declare const stock: { load: (item: string) => Promise<unknown> }
class NetworkError extends Error {}
class Rejected extends Error {}
const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] })

export function registerOrder(server: McpServer) {
  server.registerTool(
    'order',
    { inputSchema: { item: z.string(), to: z.string() } },
    durableTool(async ({ item, to }, ctx) => {
      const order = await ctx.uuid7('order')
      const receipt = await ctx.atMostOnce('charge', () => bank.charge(order))
      await ctx.atLeastOnce('mail', ({ idempotencyKey }) => mail.send(to, idempotencyKey))
      return text(`${item}: ${receipt.id}`)
    }),
  )
}

export async function steps(ctx: DurableContext, items: string[], order: string) {
  for (const item of items) await ctx.atLeastOnce('load', () => stock.load(item), { key: item })

  const [a, b] = await Promise.all([
    ctx.atLeastOnce('left', () => stock.load('left')),
    ctx.atLeastOnce('right', () => stock.load('right')),
  ])

  const Stock = z.object({ item: z.string(), left: z.number() })
  const checked = await ctx.atLeastOnce('checked', () => stock.load('x'), {
    schema: Stock, // what is returned has its type, and fits it in every run
    attempts: 5, // of one run of the call; default 10
    backoff: { initialMs: 200, factor: 2, maxMs: 10_000, jitter: 0.5 },
    nonRetryable: [Rejected],
    timeoutMs: 5_000, // of one attempt
  })

  const receipt = await ctx.atMostOnce('charge', () => bank.charge(order), {
    retryable: [NetworkError], // errors that mean: it took no effect
  })
  return [a, b, checked, receipt]
}

export async function inTime(ctx: DurableContext, order: string) {
  const first = await Promise.race([
    ctx.atLeastOnce('ask the bank', () => bank.find(order)),
    ctx.sleep('patience', 30_000).then(() => undefined),
  ])
  return first ?? 'the bank is slow'
}

export async function unknown(ctx: DurableContext, order: string) {
  try {
    return await ctx.atMostOnce('charge', () => bank.charge(order))
  } catch (error) {
    if (!(error instanceof AtMostOnceFailedBeforeCompleting)) throw error
    return await ctx.atLeastOnce('look', () => bank.find(order)) // nobody knows: ask who does
  }
}

export async function questions(ctx: DurableContext) {
  const answer = await ctx.elicit(
    'sure',
    {
      message: 'Pay 20 €?',
      requestedSchema: { type: 'object', properties: { note: { type: 'string' } } },
    },
    { timeoutMs: 10 * 60_000, schema: z.object({ note: z.string().optional() }) },
  )
  if (answer.action !== 'accept') return 'not paid'
  return answer.content.note
}

export async function time(ctx: DurableContext) {
  await ctx.sleep('cool down', 60 * 60_000)
  const at = await ctx.now('paid at')
  const id = await ctx.uuid7('payment')
  const dice = await ctx.random('dice')
  return { at, id, dice }
}

export async function patched(ctx: DurableContext, order: string) {
  if (ctx.patched('fraud-check')) await ctx.atMostOnce('check', () => fraud.check(order))
  return await ctx.atMostOnce('charge', () => bank.charge(order))
}

export async function state(ctx: DurableContext, item: string) {
  const cart = ctx.state.of('cart', { schema: z.array(z.string()) })
  await cart.update((items = []) => [...items, item])
  await cart.set([], { name: 'empty the cart' }) // a second change of the same key needs a name
  return await cart.get()
}

export async function beginCart(ctx: DurableContext, item: string) {
  const cart = await ctx.handle.create('cart', { ttlMs: 24 * 60 * 60_000 }) // a step of this name
  await cart.state.of('items').set([item])
  return `Your cart is ${cart.id}. Pass this id to add to it.`
}

export async function addToCart(ctx: DurableContext, id: string, item: string) {
  const cart = await ctx.handle.open(id)
  await cart.state.of('items', { schema: z.array(z.string()) }).update((items = []) => [...items, item])
}

export async function maps(ctx: DurableContext, who: string, what: Uint8Array) {
  const log = ctx.map('audit')
  await log.insert({ [await ctx.uuid7('entry')]: what })
  await log.idempotently('by name').insert({ [who]: what }) // a second change of the same map needs an alias
  return await log.reverseRange({ limit: 20 }) // the most recent first
}

export async function fromOutside(store: Store, sessionId: string) {
  const cart = await sessionState(store, sessionId).of('cart').get()
  const theirs = await principalState(store, 'ann').of('cart').get() // of calls without a session
  const today = await sortedMap(store, 'audit').range({ from: uuid7Floor(Date.now() - 86_400_000) })
  return { cart, theirs, today }
}

export async function deepBelow(order: string) {
  const ctx = durableContext() // of the handler that this runs below
  return ctx.atMostOnce('charge', () => bank.charge(order))
}

export async function stopping(ctx: DurableContext, to: string) {
  await ctx.atLeastOnce('mail', ({ idempotencyKey, signal }) => mail.send(to, idempotencyKey, signal))
}

export function judging(store: Store, createMyServer: () => McpServer) {
  return durable({
    server: createMyServer,
    store,
    recover: ({ tool }) => (tool?.name.startsWith('get_') ? true : undefined), // undefined: as usual
  })
}
