import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js'
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js'
import type { ServerNotification, ServerRequest } from '@modelcontextprotocol/sdk/types.js'
import * as v2 from '@modelcontextprotocol/server'
import { expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import type { DurableContext } from '../../src/context/context.js'
import { durablePrompt, durableResource, durableTool } from '../../src/context/durable-handlers.js'
import type { HandlerExtra, NoArgs } from '../../src/context/durable-handlers.js'

// What the compiler infers in the places where users write these; `tsc` is the judge.

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>
type Variables = Record<string, string | string[]>

test('handlers of 1.x', () => {
  const server = new McpServer({ name: 's', version: '1' })
  const reply = (text: string) => ({ content: [{ type: 'text' as const, text }] })

  server.registerTool(
    'shape',
    { inputSchema: { n: z.number() } },
    durableTool(async (args, ctx) => {
      expectTypeOf(args).toEqualTypeOf<{ n: number }>()
      expectTypeOf(ctx).toEqualTypeOf<DurableContext<Extra>>()
      return { content: [{ type: 'text', text: String(args.n) }] }
    }),
  )
  server.registerTool(
    'schema',
    { inputSchema: z.object({ n: z.string().transform(Number) }), outputSchema: { n: z.number() } },
    durableTool(async ({ n }, ctx) => {
      expectTypeOf(n).toEqualTypeOf<number>()
      expectTypeOf(ctx.extra).toEqualTypeOf<Extra>()
      return { content: [], structuredContent: { n } }
    }),
  )
  server.registerTool(
    'nothing',
    {},
    durableTool(async (args, ctx) => {
      expectTypeOf(args).toEqualTypeOf<NoArgs>()
      expectTypeOf(ctx.extra).toEqualTypeOf<HandlerExtra>()
      return { content: [{ type: 'text', text: '' }] }
    }),
  )
  server.registerTool(
    'sync',
    {},
    durableTool(() => ({ content: [{ type: 'text', text: '' }] })),
  )
  const apart = durableTool(async (args: { n: number }, ctx) => reply(`${args.n} ${ctx.callId}`))
  server.registerTool('apart', { inputSchema: { n: z.number() } }, apart)
  server.registerTool(
    'wrong',
    {},
    // @ts-expect-error -- no result of a tool
    durableTool(async () => ({ content: 1 })),
  )

  server.registerPrompt(
    'prompt',
    { argsSchema: { n: z.string() } },
    durablePrompt(async (args, ctx) => {
      expectTypeOf(args).toEqualTypeOf<{ n: string }>()
      expectTypeOf(ctx.extra).toEqualTypeOf<Extra>()
      return { messages: [{ role: 'user', content: { type: 'text', text: args.n } }] }
    }),
  )
  server.registerPrompt(
    'prompt without',
    {},
    durablePrompt(async () => ({ messages: [{ role: 'user', content: { type: 'text', text: '' } }] })),
  )

  server.registerResource(
    'fixed',
    'x://fixed',
    {},
    durableResource(async (uri, ctx) => {
      expectTypeOf(uri).toEqualTypeOf<URL>()
      expectTypeOf(ctx).toEqualTypeOf<DurableContext<Extra>>()
      return { contents: [{ uri: uri.href, text: '' }] }
    }),
  )
  server.registerResource(
    'template',
    new ResourceTemplate('x://{name}', { list: undefined }),
    {},
    durableResource(async (uri, variables, ctx) => {
      expectTypeOf(variables).toEqualTypeOf<Variables>()
      expectTypeOf(ctx).toEqualTypeOf<DurableContext<Extra>>()
      return { contents: [{ uri: uri.href, text: '' }] }
    }),
  )
})

test('handlers of 2.x', () => {
  const server = new v2.McpServer({ name: 's', version: '1' })

  server.registerTool(
    'schema',
    { inputSchema: z.object({ n: z.string().transform(Number) }), outputSchema: z.object({ n: z.number() }) },
    durableTool(async ({ n }, ctx) => {
      expectTypeOf(n).toEqualTypeOf<number>()
      expectTypeOf(ctx).toEqualTypeOf<DurableContext<v2.ServerContext>>()
      return { content: [{ type: 'text', text: '' }], structuredContent: { n } }
    }),
  )
  server.registerTool(
    'shape',
    { inputSchema: { n: z.number() } },
    durableTool(async (args, ctx) => {
      expectTypeOf(args).toEqualTypeOf<{ n: number }>()
      expectTypeOf(ctx.extra).toEqualTypeOf<v2.ServerContext>()
      return { content: [{ type: 'text', text: '' }] }
    }),
  )
  server.registerTool(
    'nothing',
    {},
    durableTool(async (args, ctx) => {
      expectTypeOf(args).toEqualTypeOf<NoArgs>()
      expectTypeOf(ctx.extra).toEqualTypeOf<HandlerExtra>()
      return { content: [{ type: 'text', text: '' }] }
    }),
  )
  const wrong = durableTool(async (_args: object) => ({ content: 1 }))
  // @ts-expect-error -- no result of a tool
  server.registerTool('wrong', { inputSchema: z.object({}) }, wrong)

  server.registerPrompt(
    'prompt',
    { argsSchema: z.object({ n: z.string() }) },
    durablePrompt(async (args, ctx) => {
      expectTypeOf(args).toEqualTypeOf<{ n: string }>()
      expectTypeOf(ctx.extra).toEqualTypeOf<v2.ServerContext>()
      return { messages: [{ role: 'user', content: { type: 'text', text: args.n } }] }
    }),
  )
  server.registerPrompt(
    'prompt without',
    {},
    durablePrompt(async () => ({ messages: [{ role: 'user', content: { type: 'text', text: '' } }] })),
  )

  server.registerResource(
    'fixed',
    'x://fixed',
    {},
    durableResource(async (uri, ctx) => {
      expectTypeOf(ctx).toEqualTypeOf<DurableContext<v2.ServerContext>>()
      return { contents: [{ uri: uri.href, text: '' }] }
    }),
  )
  server.registerResource(
    'template',
    new v2.ResourceTemplate('x://{name}', { list: undefined }),
    {},
    durableResource(async (uri, variables, ctx) => {
      expectTypeOf(variables).toEqualTypeOf<Variables>()
      expectTypeOf(ctx).toEqualTypeOf<DurableContext<v2.ServerContext>>()
      return { contents: [{ uri: uri.href, text: '' }] }
    }),
  )
})

test('values of steps', () => {
  const use = async (ctx: DurableContext) => {
    const schema = z.object({ n: z.string().transform(Number) })
    expectTypeOf(await ctx.atLeastOnce('a', () => 1)).toEqualTypeOf<number>()
    expectTypeOf(await ctx.atMostOnce('b', async () => 'x')).toEqualTypeOf<string>()
    expectTypeOf(await ctx.atLeastOnce('c', () => JSON.parse(''), { schema })).toEqualTypeOf<{ n: number }>()
    expectTypeOf(await ctx.atMostOnce('d', () => ({}), { schema })).toEqualTypeOf<{ n: number }>()
    expectTypeOf(
      await ctx.atLeastOnce('e', ({ idempotencyKey }) => idempotencyKey, { attempts: 2 }),
    ).toBeString()
    class Failed extends Error {}
    await ctx.atMostOnce('f', () => 1, {
      retryable: [Failed],
      nonRetryable: (error) => error instanceof Failed,
    })
    // @ts-expect-error -- a list of classes, or a function
    await ctx.atMostOnce('g', () => 1, { retryable: Failed })
  }
  expectTypeOf(use).toBeFunction()
})
