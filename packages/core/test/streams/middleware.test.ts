import { compress } from 'hono/compress'
import { cors } from 'hono/cors'
import { etag } from 'hono/etag'
import { logger } from 'hono/logger'
import { secureHeaders } from 'hono/secure-headers'
import type { MiddlewareHandler } from 'hono'
import { expect, test, vi } from 'vitest'
import { EventBody } from '../../src/http/event-body.js'
import { startNodes } from '../support/nodes.js'
import type { ServeOptions } from '../support/serve.js'
import { dataOf, Session, textOf } from '../support/session.js'

// What is mounted around the library in an application sees a response like any other, and may do with it what it likes.

const around = async (...middleware: MiddlewareHandler[]) =>
  begin(await startNodes({ adapter: 'hono', count: 1, around: middleware }))

const wrapped = async (change: (response: Response) => Response) => {
  const wrapFetch: ServeOptions['wrapFetch'] = (mcp) => ({
    fetch: async (request, options) => change(await mcp.fetch(request, options)),
  })
  return begin(await startNodes({ adapter: 'express5', count: 1, wrapFetch }))
}

const begin = async (nodes: Awaited<ReturnType<typeof startNodes>>) => {
  return {
    nodes,
    session: await Session.begin(nodes),
    [Symbol.asyncDispose]: () => nodes[Symbol.asyncDispose](),
  }
}

/** A stream that tells two things, and ends when its gate is opened. */
async function told({ nodes, session }: Awaited<ReturnType<typeof around>>) {
  await using stream = await session.call('say', { count: 2, gate: 'g' }, { token: 1 })
  expect((await stream.next())?.id).toBeDefined()
  await stream.nextMessage()
  await stream.nextMessage()
  nodes.world.gates.open('g')
  const rest = await stream.messages()
  return { text: textOf(rest.at(-1)), headers: stream.response.headers }
}

test.each([
  ['Hono', () => around()],
  ['Express', () => wrapped((response) => response)],
])('no stream is made of a body that nobody looks at on %s', async (_, mount) => {
  using made = vi.spyOn(EventBody.prototype, 'stream')
  await using app = await mount()
  expect((await told(app)).text).toBe('said 2')
  expect(made).not.toHaveBeenCalled()
})

test('headers that an application sets on Node.js are sent', async () => {
  await using app = await wrapped((response) => {
    response.headers.set('x-app', 'mine')
    response.headers.append('set-cookie', 'a=1')
    response.headers.append('set-cookie', 'b=2')
    return response
  })
  const { text, headers } = await told(app)
  expect(text).toBe('said 2')
  expect([headers.get('x-app'), headers.getSetCookie()]).toEqual(['mine', ['a=1', 'b=2']])
  expect(headers.get('mcp-session-id')).toBe(app.session.mcpSessionId)
})

test('an application may answer with a body of its own on Node.js', async () => {
  await using app = await wrapped((response) => new Response(response.body, response))
  expect((await told(app)).text).toBe('said 2')
})

test('headers that are set before and after it are sent', async () => {
  await using app = await around(cors({ origin: '*' }), secureHeaders())
  const { text, headers } = await told(app)
  expect(text).toBe('said 2')
  expect(headers.get('access-control-allow-origin')).toBe('*')
  expect(headers.get('x-content-type-options')).toBe('nosniff')
  expect(headers.get('mcp-session-id')).toBe(app.session.mcpSessionId)
})

test.each([
  ['etag()', etag()],
  ['etag() with weak tags', etag({ weak: true })],
  ['compress()', compress()],
  ['compress() of everything', compress({ threshold: 0, contentTypeFilter: () => true })],
  ['logger()', logger(() => undefined)],
])('a stream comes as it is said behind %s', async (_name, middleware) => {
  await using app = await around(middleware)
  expect((await told(app)).text).toBe('said 2')
  await using standalone = await app.session.stream()
  await app.session.result('tell', { count: 1 })
  expect(dataOf((await standalone.nextMessage()).message)).toBe('tell 1')
})

test('a middleware may read a copy of the body', async () => {
  const copies: Promise<string>[] = []
  await using app = await around(async (context, next) => {
    await next()
    copies.push(context.res.clone().text())
  })
  expect((await told(app)).text).toBe('said 2')
  expect(await copies.at(-1)).toContain('said 2')
})

test('a middleware may look at the body and leave it', async () => {
  const bodies: unknown[] = []
  await using app = await around(async (context, next) => {
    await next()
    bodies.push([context.res.status, context.res.bodyUsed, context.res.body instanceof ReadableStream])
  })
  expect((await told(app)).text).toBe('said 2')
  expect(bodies.at(-1)).toEqual([200, false, true])
})

test('a middleware may put another body in its place', async () => {
  await using app = await around(async (context, next) => {
    await next()
    const shouting = new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) =>
        controller.enqueue(Buffer.from(Buffer.from(chunk).toString().replaceAll('said', 'SAID'))),
    })
    const { body } = context.res
    if (body) context.res = new Response(body.pipeThrough(shouting), context.res)
  })
  expect((await told(app)).text).toBe('SAID 2')
})

test('a client that leaves ends what a middleware has opened', async () => {
  await using app = await around(async (context, next) => {
    await next()
    context.res = new Response(context.res.body, context.res)
  })
  const left = new AbortController()
  const stream = await app.session.call('wait', { gate: 'g' }, { signal: left.signal })
  const first = await stream.next()
  left.abort()
  await stream.next().catch(() => undefined)
  app.nodes.world.gates.open('g')
  await using resumed = await app.session.stream(first?.id)
  expect(textOf((await resumed.messages()).at(-1))).toBe('g on node-0')
})
