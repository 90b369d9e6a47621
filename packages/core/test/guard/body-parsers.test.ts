import { once } from 'node:events'
import { createServer, request as requestHttp } from 'node:http'
import type { IncomingMessage, RequestListener, Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { createAdaptorServer } from '@hono/node-server'
import express5 from 'express'
import type { RequestHandler } from 'express'
import { Hono } from 'hono'
import type { Context, MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { describe, expect, test } from 'vitest'
import { express } from '../../src/adapters/express.js'
import { hono } from '../../src/adapters/hono.js'
import { node } from '../../src/adapters/node.js'
import { durable } from '../../src/index.js'
import type { Durable } from '../../src/index.js'
import { serverV1 } from '../support/server-v1.js'
import { BOTH } from '../support/session.js'
import { World } from '../support/world.js'

const express4 = createRequire(import.meta.url)('express4') as typeof express5
const FRAMEWORKS = { 'Express 4': express4, 'Express 5': express5 }

const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'ünï', version: '1' } },
})
const HEADERS = { 'content-type': 'application/json', accept: BOTH }
type Post = { body?: Buffer; chunked?: boolean; headers?: Record<string, string> }

/** A node of its own behind a server, with what it has logged as errors. */
async function mounted(mount: (mcp: Durable) => Server | RequestListener, settings: object = {}) {
  const errors: string[] = []
  const nothing = () => undefined
  const logger = {
    error: (_fields: object, message: string) => void errors.push(message),
    warn: nothing,
    info: nothing,
    debug: nothing,
  }
  const mcp = durable({ server: () => serverV1('node', new World()), logger, ...settings })
  const made = mount(mcp)
  const server = typeof made === 'function' && !('listen' in made) ? createServer(made) : (made as Server)
  const listening = server.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  const { port } = listening.address() as AddressInfo
  return {
    errors,
    /** By hand: `fetch` neither sends a body in pieces without a stream nor one whose encoding it does not know. */
    async post({ body = Buffer.from(INITIALIZE), chunked = false, headers = {} }: Post = {}) {
      const length = chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': body.byteLength }
      const options = { port, path: '/mcp', method: 'POST', headers: { ...HEADERS, ...length, ...headers } }
      const outgoing = requestHttp({ host: '127.0.0.1', agent: false, ...options })
      const half = Math.floor(body.byteLength / 2)
      outgoing.write(body.subarray(0, half))
      outgoing.end(body.subarray(half))
      const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
      return { status: response.statusCode, headers: response.headers, text: await text(response) }
    },
    async [Symbol.asyncDispose]() {
      listening.close()
      listening.closeAllConnections()
      await mcp.close({ graceMs: 0 })
    },
  }
}

const expressApp = (framework: typeof express5, before: RequestHandler[]) => (mcp: Durable) => {
  const app = framework()
  for (const middleware of before) app.use(middleware)
  app.use('/mcp', express(mcp))
  return app as unknown as RequestListener
}

/** As multer and its like: reads forms, and lets all else pass with an empty body. */
const formsOnly: RequestHandler = (request, _response, next) => {
  request.body = {}
  next()
}

const later: RequestHandler = (_request, _response, next) => void setImmediate(next)

/** Looks at what comes by, without keeping it from others. */
const looksOn: RequestHandler = (request, _response, next) => {
  request.on('data', () => undefined)
  next()
}

/** A gateway that has read the body for its own purposes. */
const keepsRawBody: RequestHandler = async (request, _response, next) => {
  Object.assign(request, { rawBody: Buffer.from(await text(request)) })
  next()
}

const any = { type: () => true }
const parsersOf = (framework: typeof express5): [name: string, before: RequestHandler[]][] => [
  ['nothing', []],
  ['json()', [framework.json()]],
  ['json() of another type', [framework.json({ type: 'application/vnd.api+json' })]],
  ['json() that is not strict', [framework.json({ strict: false })]],
  ['urlencoded()', [framework.urlencoded({ extended: true })]],
  ['raw()', [framework.raw()]],
  ['text()', [framework.text()]],
  ['raw() of any type', [framework.raw(any)]],
  ['text() of any type', [framework.text(any)]],
  [
    'all parsers',
    [framework.urlencoded({ extended: true }), framework.raw(), framework.text(), framework.json()],
  ],
  [
    'all parsers, json() first',
    [framework.json(), framework.urlencoded({ extended: true }), framework.raw(), framework.text()],
  ],
  ['what reads forms', [formsOnly]],
  ['urlencoded(), and something slow', [framework.urlencoded({ extended: true }), later]],
  ['something slow', [later]],
  ['what keeps the raw body', [keepsRawBody]],
]

describe.each(Object.entries(FRAMEWORKS))('%s', (_, framework) => {
  test.each(parsersOf(framework))('behind %s', async (_name, before) => {
    await using app = await mounted(expressApp(framework, before))
    for (const chunked of [false, true]) {
      const response = await app.post({ chunked })
      expect([chunked, response.status, response.text]).toEqual([
        chunked,
        200,
        expect.stringContaining('protocolVersion'),
      ])
    }
    expect((await app.post({ body: Buffer.from('{"jsonrpc":"2.0"') })).status).toBe(400)
  })

  test('behind what looks on', async () => {
    await using app = await mounted(expressApp(framework, [looksOn]))
    expect((await app.post()).status).toBe(200)
  })

  test('a JSON parser decompresses a body, and nothing else does', async () => {
    await using parsed = await mounted(expressApp(framework, [framework.json()]))
    const compressed = { body: gzipSync(INITIALIZE), headers: { 'content-encoding': 'gzip' } }
    expect((await parsed.post(compressed)).status).toBe(200)
    await using bare = await mounted(expressApp(framework, []))
    const refused = await bare.post(compressed)
    expect([refused.status, refused.headers['accept-encoding']]).toEqual([415, 'identity'])
    expect(refused.text).toContain('without Content-Encoding')
  })

  test.each([
    ['json', 413],
    ['raw', 413],
    ['text', 413],
  ] as const)('maxBodyBytes holds behind %s()', async (parser, status) => {
    await using app = await mounted(expressApp(framework, [framework[parser](any)]), { maxBodyBytes: 100 })
    expect((await app.post()).status).toBe(status)
    expect((await app.post({ chunked: true })).status).toBe(parser === 'json' ? 200 : status)
  })
})

/** Takes the body and keeps nothing. */
const takesAll: RequestHandler = (request, _response, next) => {
  request.on('end', next).resume()
}
const takesSome: RequestHandler = (request, _response, next) => {
  request.once('data', () => {
    request.pause()
    next()
  })
}
const dropped: [name: string, mount: (mcp: Durable) => Server | RequestListener][] = [
  ...Object.entries(FRAMEWORKS).flatMap(([name, framework]): typeof dropped => [
    [`${name}, the whole body`, expressApp(framework, [takesAll])],
    [`${name}, a part of it`, expressApp(framework, [takesSome])],
  ]),
  [
    'Node.js',
    (mcp) => (request, response) => void request.resume().on('end', () => node(mcp)(request, response)),
  ],
  ['Hono, past Hono', honoApp(after(async ({ req }) => req.raw.text()))],
  [
    'Hono, a part of it',
    honoApp(async ({ req }, next) => {
      const reader = req.raw.body!.getReader()
      await reader.read()
      reader.releaseLock()
      await next()
    }),
  ],
  [
    'fetch()',
    (mcp) =>
      createAdaptorServer({
        fetch: async (request) => {
          await request.text()
          return mcp.fetch(request)
        },
      }) as Server,
  ],
]
test.each(dropped)(
  'a body that somebody took and did not keep is an error at once: %s',
  async (_name, mount) => {
    await using app = await mounted(mount)
    for (const chunked of [false, true]) {
      const response = await app.post({ chunked })
      expect([response.status, response.text]).toEqual([500, expect.stringContaining('set up wrongly')])
    }
    expect(app.errors).toEqual(
      Array(2).fill(expect.stringContaining('the body of a request was read before')),
    )
  },
)

const readsByHono: [name: string, read: MiddlewareHandler][] = [
  ['json()', after(async ({ req }) => req.json())],
  ['text()', after(async ({ req }) => req.text())],
  ['arrayBuffer()', after(async ({ req }) => req.arrayBuffer())],
  ['blob()', after(async ({ req }) => req.blob())],
  ['parseBody()', after(async ({ req }) => req.parseBody())],
  ['a copy', after(async ({ req }) => req.raw.clone().text())],
  ['bodyLimit()', bodyLimit({ maxSize: 10_000 })],
]
test.each(readsByHono)('Hono behind %s', async (_name, read) => {
  await using app = await mounted(honoApp(read))
  for (const chunked of [false, true]) {
    const response = await app.post({ chunked })
    expect([chunked, response.status, response.text]).toEqual([
      chunked,
      200,
      expect.stringContaining('protocolVersion'),
    ])
  }
})

function after(read: (context: Context) => Promise<unknown>): MiddlewareHandler {
  return async (context, next) => {
    await read(context)
    await next()
  }
}

function honoApp(before: MiddlewareHandler) {
  return (mcp: Durable) => {
    const app = new Hono()
    app.use(before)
    app.use('/mcp', hono(mcp))
    return createAdaptorServer({ fetch: app.fetch }) as Server
  }
}

describe.each([false, true])('a byte order mark, chunked: %s', (chunked) => {
  const body = Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(INITIALIZE)])
  test.each<[string, (mcp: Durable) => Server | RequestListener]>([
    ['Node.js', (mcp) => node(mcp)],
    ['Express behind text()', expressApp(express5, [express5.text(any)])],
    ['Express behind raw()', expressApp(express5, [express5.raw(any)])],
    ['Hono', honoApp((_context, next) => next())],
  ])('is no part of the body, %s', async (_name, mount) => {
    await using app = await mounted(mount)
    expect((await app.post({ body, chunked })).status).toBe(200)
  })
})

test.each(['gzip', 'GZIP', 'deflate', 'br', 'zstd', 'x-own'])('a body in %s is refused', async (encoding) => {
  await using app = await mounted((mcp) => node(mcp))
  const response = await app.post({ headers: { 'content-encoding': encoding } })
  expect([response.status, JSON.parse(response.text)]).toMatchObject([415, { error: { code: -32000 } }])
})

test('a body in the encoding identity is read', async () => {
  await using app = await mounted((mcp) => node(mcp))
  expect((await app.post({ headers: { 'content-encoding': 'identity' } })).status).toBe(200)
})
