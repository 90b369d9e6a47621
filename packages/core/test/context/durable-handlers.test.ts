import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js'
import * as v2 from '@modelcontextprotocol/server'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import type { CallLog } from '../../src/context/call-log.js'
import { DurableContext } from '../../src/context/context.js'
import { durablePrompt, durableResource, durableTool, isDurable } from '../../src/context/durable-handlers.js'
import { CallStoppedError, NoContextError } from '../../src/context/errors.js'
import { durableContext, runInCall } from '../../src/context/run-context.js'
import type { JsonRpcMessage } from '../../src/json-rpc.js'
import { TestCall, thrown } from './support.js'

type AnyServer = { connect(transport: never): Promise<void> }

/** A server object on a transport of its own; `ask` dispatches a request in a call, as a host does. */
async function connected(server: AnyServer) {
  const waiting = new Map<unknown, (message: JsonRpcMessage) => void>()
  const transport = {
    onmessage: (_message: object) => undefined,
    start: async () => undefined,
    close: async () => undefined,
    send: async (message: JsonRpcMessage) => {
      if ('id' in message) waiting.get(message.id)?.(message)
    },
  }
  await server.connect(transport as never)
  let id = 0
  const ask = async (method: string, params: object, call?: TestCall) => {
    const message = { jsonrpc: '2.0', id: ++id, method, params }
    const answer = new Promise<JsonRpcMessage>((resolve) => waiting.set(message.id, resolve))
    if (call) runInCall({ log: call.node(), store: call.store }, () => transport.onmessage(message))
    else transport.onmessage(message)
    const response = await answer
    return 'result' in response ? response.result : response
  }
  await ask('initialize', {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'test', version: '1' },
  })
  return ask
}

const seen: unknown[] = []
const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] })
const message = (value: string) => ({
  messages: [{ role: 'user' as const, content: { type: 'text' as const, text: value } }],
})
const contents = (uri: URL, value: string) => ({ contents: [{ uri: uri.href, text: value }] })

function server1() {
  const server = new McpServer({ name: 's', version: '1' })
  const inputSchema = { n: z.number() }
  server.registerTool(
    'with',
    { inputSchema },
    durableTool(async (args, ctx) => {
      seen.push(args, ctx)
      return text(`${args.n} ${await ctx.atLeastOnce('s', () => seen.length)}`)
    }),
  )
  server.registerTool(
    'without',
    {},
    durableTool((args, ctx) => {
      seen.push(args, ctx)
      return text('done')
    }),
  )
  server.registerPrompt(
    'with',
    { argsSchema: { n: z.string() } },
    durablePrompt((args, ctx) => {
      seen.push(args, ctx)
      return message(args.n)
    }),
  )
  server.registerPrompt(
    'without',
    {},
    durablePrompt((args, ctx) => {
      seen.push(args, ctx)
      return message('done')
    }),
  )
  server.registerResource(
    'fixed',
    'x://fixed',
    {},
    durableResource((uri, ctx) => {
      seen.push(uri.href, ctx)
      return contents(uri, 'done')
    }),
  )
  server.registerResource(
    'template',
    new ResourceTemplate('x://t/{name}', { list: undefined }),
    {},
    durableResource((uri, variables, ctx) => {
      seen.push(variables, ctx)
      return contents(uri, String(variables['name']))
    }),
  )
  return server
}

function server2() {
  const server = new v2.McpServer({ name: 's', version: '1' })
  server.registerTool(
    'with',
    { inputSchema: z.object({ n: z.number() }) },
    durableTool(async (args, ctx) => {
      seen.push(args, ctx)
      return text(`${args.n} ${await ctx.atLeastOnce('s', () => seen.length)}`)
    }),
  )
  server.registerTool(
    'without',
    {},
    durableTool((args, ctx) => {
      seen.push(args, ctx)
      return text('done')
    }),
  )
  server.registerPrompt(
    'with',
    { argsSchema: z.object({ n: z.string() }) },
    durablePrompt((args, ctx) => {
      seen.push(args, ctx)
      return message(args.n)
    }),
  )
  server.registerPrompt(
    'without',
    {},
    durablePrompt((args, ctx) => {
      seen.push(args, ctx)
      return message('done')
    }),
  )
  server.registerResource(
    'fixed',
    'x://fixed',
    {},
    durableResource((uri, ctx) => {
      seen.push(uri.href, ctx)
      return contents(uri, 'done')
    }),
  )
  server.registerResource(
    'template',
    new v2.ResourceTemplate('x://t/{name}', { list: undefined }),
    {},
    durableResource((uri, variables, ctx) => {
      seen.push(variables, ctx)
      return contents(uri, String(variables['name']))
    }),
  )
  return server
}

describe.each([
  ['@modelcontextprotocol/sdk 1.x', server1, 'requestId'],
  ['@modelcontextprotocol/server 2.x', server2, 'mcpReq'],
])('handlers of %s', (_major, makeServer, ofExtra) => {
  test.each([
    ['tools/call', { name: 'with', arguments: { n: 1 } }, { n: 1 }],
    ['tools/call', { name: 'without' }, {}],
    ['prompts/get', { name: 'with', arguments: { n: 'x' } }, { n: 'x' }],
    ['prompts/get', { name: 'without' }, {}],
    ['resources/read', { uri: 'x://fixed' }, 'x://fixed'],
    ['resources/read', { uri: 'x://t/abc' }, { name: 'abc' }],
  ])('%s %o', async (method, params, args) => {
    seen.length = 0
    const ask = await connected(makeServer())
    const call = new TestCall()
    const answer = await ask(method, params, call)
    expect(answer).not.toHaveProperty('error')
    expect(answer).not.toHaveProperty('isError')
    const [given, context] = seen as [unknown, DurableContext<object>]
    expect(given).toEqual(args)
    expect(context).toBeInstanceOf(DurableContext)
    expect(context.callId).toBe(call.callId)
    expect(context.extra).toHaveProperty(ofExtra)
  })

  test('a step is not run again when the call is', async () => {
    seen.length = 0
    const call = new TestCall()
    const params = { name: 'with', arguments: { n: 1 } }
    const first = await (await connected(makeServer()))('tools/call', params, call)
    const second = await (await connected(makeServer()))('tools/call', params, call)
    expect(second).toEqual(first)
    expect(first).toMatchObject(text('1 2'))
  })

  test('outside of durable() a wrapped handler says what is missing', async () => {
    const ask = await connected(makeServer())
    const answer = await ask('tools/call', { name: 'without' })
    expect(answer).toMatchObject({ isError: true })
    expect(JSON.stringify(answer)).toContain('outside of durable()')
  })

  test('the server object keeps the very handler, so that it can be recognised', () => {
    const handler = durableTool(() => text(''))
    const server = makeServer() as McpServer
    const registered = server.registerTool('again', {}, handler)
    expect(isDurable(registered.handler)).toBe(true)
  })
})

describe('durableContext()', () => {
  test('is the context of the handler, however deep', async () => {
    const call = new TestCall()
    await call.node().run(async (context) => {
      const deep = async () => {
        await new Promise((resolve) => setImmediate(resolve))
        return durableContext()
      }
      expect(await deep()).toBe(context)
      expect(await context.atLeastOnce('s', async () => (await deep()) === context)).toBe(true)
    })
  })

  test('works in handlers that are not wrapped', async () => {
    const call = new TestCall()
    const value = runInCall({ log: call.node(), store: call.store }, () => durableContext().now('n'))
    expect(await value).toBeTypeOf('number')
    expect(call.phases('n')).toEqual(['done'])
  })

  test('elsewhere says what to do', () => {
    expect(() => durableContext()).toThrow(NoContextError)
    expect(() => durableContext()).toThrow(/in a handler/)
  })

  test('calls side by side have each their own', async () => {
    const calls = Array.from({ length: 10 }, () => new TestCall())
    const ids = calls.map((call) =>
      call.node().run(async () => {
        await new Promise((resolve) => setImmediate(resolve))
        return durableContext().callId
      }),
    )
    expect(await Promise.all(ids)).toEqual(calls.map(({ callId }) => callId))
  })
})

describe('when the handler has ended', () => {
  test('its context has too, and what it left running is told', async () => {
    let signal: AbortSignal | undefined
    const node = new TestCall().node()
    const context = await node.run((ctx) => {
      void ctx.atLeastOnce('left', (run) => {
        signal = run.signal
        return new Promise(() => undefined)
      })
      void ctx.sleep('slept', 3_600_000)
      return new Promise<DurableContext>((resolve) => setImmediate(() => resolve(ctx)))
    })
    expect(signal?.reason).toBeInstanceOf(CallStoppedError)
    expect(await thrown((context as DurableContext).now('n'))).toBeInstanceOf(CallStoppedError)
  })

  test('steps that a failed handler left alone do not end the process', async () => {
    const unhandled = vi.fn<() => void>()
    process.on('unhandledRejection', unhandled)
    const node = new TestCall().node()
    const run = node.run(async (ctx) => {
      void ctx.sleep('a', 3_600_000)
      void ctx.atMostOnce('b', () => new Promise(() => undefined))
      void ctx.elicit('c', { message: '', requestedSchema: { type: 'object', properties: {} } })
      void ctx.map('m').range()
      void ctx.state.get()
      await ctx.now('n')
      throw new Error('failed')
    })
    expect((await thrown(run)).message).toBe('failed')
    await new Promise((resolve) => setTimeout(resolve, 5))
    process.off('unhandledRejection', unhandled)
    expect(unhandled).not.toHaveBeenCalled()
  })

  test.each([false, true])(
    'what follows from steps that it left alone does not either; observed: %s',
    async (isObserved) => {
      const unhandled = vi.fn<() => void>()
      process.on('unhandledRejection', unhandled)
      const node = new TestCall().node()
      const ended: string[] = []
      const observe: CallLog['observeStep'] = (name, work) => work().finally(() => ended.push(name))
      if (isObserved) Object.defineProperty(node, 'observeStep', { value: observe })
      const helper = async (ctx: DurableContext) => {
        await ctx.atLeastOnce('failing', () => Promise.reject(new Error('no')))
      }
      await node.run(async (ctx) => {
        void ctx.sleep('a', 3_600_000).then(() => 'slept')
        void ctx.atMostOnce('b', () => new Promise(() => undefined)).finally(() => undefined)
        void ctx.state.set(1).then(() => 'set')
        void helper(ctx)
        await ctx.now('n')
      })
      await new Promise((resolve) => setTimeout(resolve, 150))
      process.off('unhandledRejection', unhandled)
      expect(unhandled).not.toHaveBeenCalled()
      expect(ended.toSorted()).toEqual(isObserved ? ['a', 'b', 'failing', 'n', 'state default'] : [])
    },
  )

  test('a wrapped handler that calls another one shares its context', async () => {
    const call = new TestCall()
    const inner = durableTool(async (_args: object, ctx) => ctx.now('inner'))
    const times = await call.node().run(async (ctx) => [await inner({}, {}), await ctx.now('outer')])
    expect(times).toHaveLength(2)
    expect(call.records.map(({ id }) => id)).toEqual(['inner', 'outer'])
  })
})

test('only wrapped handlers are durable', () => {
  const handler = async () => text('')
  expect(isDurable(durableTool(handler))).toBe(true)
  expect(isDurable(durablePrompt(async () => message('')))).toBe(true)
  expect(isDurable(durableResource(async (uri: URL) => contents(uri, '')))).toBe(true)
  for (const other of [handler, undefined, {}, 'x']) expect(isDurable(other)).toBe(false)
})
