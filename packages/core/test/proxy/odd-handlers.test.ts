import type { IncomingMessage, ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { fromNode } from '../../src/adapters/node.js'
import { durable } from '../../src/index.js'
import type { FetchHandler } from '../../src/index.js'
import { LocalBackend } from '../../src/proxy/local-backend.js'
import type { Nodes } from '../support/nodes.js'
import { resultFor } from '../support/raw-upstream.js'
import { expectJson, Session, textOf } from '../support/session.js'

// Whatever a wrapped handler does with a request, the request has an answer, and the process lives.

const silent = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
}

type Message = { id?: string; method: string; params?: { name?: string } }

function answerTo({ id, method }: Message): object | undefined {
  if (id === undefined) return undefined
  if (method !== 'initialize') return resultFor(id)
  const serverInfo = { name: 'odd', version: '1' }
  return { jsonrpc: '2.0', id, result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo } }
}

const isOdd = ({ method, params }: Message) => params?.name === 'odd' && method !== 'initialize'

async function begin(handler: FetchHandler) {
  const mcp = durable({ handler, logger: silent })
  const endpoint = () => ({
    fetch: (init?: RequestInit) => mcp.fetch(new Request('http://127.0.0.1/mcp', init)),
  })
  const session = await Session.begin({ endpoint } as unknown as Nodes)
  return { session, [Symbol.asyncDispose]: () => mcp.close({ graceMs: 0 }) }
}

const bytes = (text: string) => new TextEncoder().encode(text)
const locked = () => {
  const response = new Response('{}')
  response.body?.getReader()
  return response
}
type Source = { pull?: Pull; start?: Pull; cancel?: () => void }
type Pull = (controller: ReadableStreamDefaultController<unknown>) => void
const streaming = (source: Source, type = 'application/json') =>
  new Response(new ReadableStream(source) as ReadableStream<Uint8Array<ArrayBuffer>>, {
    headers: { 'content-type': type },
  })

const ODD: [what: string, answer: () => unknown, told: RegExp][] = [
  ['undefined', () => undefined, /handler failed/],
  ['null', () => null, /handler failed/],
  ['a string', () => 'fine', /handler failed/],
  ['an object', () => ({}), /handler failed/],
  ['a response without headers', () => ({ status: 200 }), /handler failed/],
  ['a body that is being read', locked, /handler failed/],
  ['an exception', () => raise(new Error('odd')), /handler failed/],
  ['an exception that is nothing', () => raise(undefined), /handler failed/],
  ['a rejection', () => Promise.reject(new Error('odd')), /handler failed/],
  ['a response of status 0', () => Response.error(), /status 0, which HTTP does not have/],
  ['a status of its own', () => ({ status: 999, headers: new Headers(), body: null }), /status 999/],
  [
    'a status that is no number',
    () => ({ status: Number.NaN, headers: new Headers(), body: null }),
    /status NaN/,
  ],
  ['no body', () => new Response(null), /no JSON-RPC answer/],
  ['an empty body', () => Response.json(undefined), /handler failed/],
  [
    'a stream of strings',
    () => streaming({ start: (c) => (c.enqueue('{}'), c.close()) }),
    /not made of bytes/,
  ],
  ['half a message', () => streaming({ start: (c) => (c.enqueue(bytes('{')), c.close()) }), /not JSON/],
  [
    'a body that breaks',
    () => streaming({ pull: (c) => c.error(new Error('odd')) }),
    /no whole answer to it came/,
  ],
  [
    'events that break',
    () => streaming({ pull: (c) => c.error(new Error('odd')) }, 'text/event-stream'),
    /outcome is unknown/,
  ],
  [
    'a body without an end',
    () => streaming({ pull: (c) => c.enqueue(bytes('x'.repeat(1e6))) }),
    /maxAnswerBytes/,
  ],
]

function raise(error: unknown): never {
  throw error
}

describe.each(ODD)('[I-10] a handler that answers with %s', (_what, answer, told) => {
  test('is an error to one request', async () => {
    const handler = (async (request: Request) => {
      const message = request.method === 'POST' ? ((await request.json()) as Message) : { method: '' }
      if (isOdd(message)) return answer()
      const usual = answerTo(message)
      return usual ? Response.json(usual) : new Response(null, { status: 202 })
    }) as FetchHandler
    await using odd = await begin(handler)
    const messages = await (await odd.session.call('odd')).messages()
    expect(messages.map(textOf)).toEqual([expect.stringMatching(told)])
    const other = await odd.session.request('prompts/get', { name: 'odd' })
    expect(JSON.stringify(await expectJson(other, other.status))).toMatch(/"error"/)
    expect(await odd.session.result('usual')).toBe('fine')
  })
})

const ODD_NODE: [what: string, answer: (res: ServerResponse) => unknown, told: RegExp][] = [
  ['throws', () => raise(new Error('odd')), /handler failed/],
  ['rejects', () => Promise.reject(new Error('odd')), /handler failed/],
  ['has a status of its own', (res) => res.writeHead(999).end('{}'), /status 999/],
  ['asks for a status that there is not', (res) => res.writeHead(0).end('{}'), /handler failed/],
  ['breaks the connection', (res) => res.destroy(), /handler failed/],
  [
    'breaks it in the middle',
    (res) => res.writeHead(200, { 'content-type': 'application/json' }).write('{', () => res.destroy()),
    /outcome is unknown|handler failed/,
  ],
  ['sends no content', (res) => res.writeHead(204).end(), /no JSON-RPC answer/],
  [
    'answers, then throws',
    (res) => (res.writeHead(500).end('no'), raise(new Error('odd'))),
    /handler failed|answered 500/,
  ],
]

test.each(ODD_NODE)(
  '[I-10] a handler of Node.js that %s is an error to one request',
  async (_what, answer, told) => {
    const handler = fromNode(async (req: IncomingMessage, res: ServerResponse): Promise<unknown> => {
      const message = req.method === 'POST' ? ((await json(req)) as Message) : { method: '' }
      if (isOdd(message)) return answer(res)
      const usual = answerTo(message)
      if (!usual) return res.writeHead(202).end()
      return res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(usual))
    })
    await using odd = await begin(handler)
    const messages = await (await odd.session.call('odd')).messages()
    expect(messages.map(textOf)).toEqual([expect.stringMatching(told)])
    expect(await odd.session.result('usual')).toBe('fine')
  },
)

describe('[I-10] a handler that never answers', () => {
  const exchange = (handler: FetchHandler, signal: AbortSignal) =>
    new LocalBackend(handler, silent).exchange({ method: 'POST', headers: {}, body: '{}', signal, extra: {} })

  test('is not waited for beyond the signal of its request, also if it does not listen to it', async () => {
    const stop = new AbortController()
    const answer = exchange(() => new Promise<never>(() => undefined), stop.signal)
    stop.abort(new Error('enough'))
    await expect(answer).rejects.toThrow('enough')
  })

  test('nor is its body', async () => {
    const stop = new AbortController()
    let cancelled = 0
    const { body } = await exchange(() => streaming({ cancel: () => void cancelled++ }), stop.signal)
    const read = (async () => {
      for await (const chunk of body) expect(chunk).toBeDefined()
    })()
    stop.abort(new Error('enough'))
    await expect(read).rejects.toThrow('enough')
    expect(cancelled).toBe(1)
  })

  test('a call of it is cancelled by its client', async () => {
    const handler = (async (request: Request) => {
      const message = (await request.json().catch(() => ({ method: '' }))) as Message
      if (isOdd(message)) return new Promise(() => undefined)
      const usual = answerTo(message)
      return usual ? Response.json(usual) : new Response(null, { status: 202 })
    }) as FetchHandler
    await using odd = await begin(handler)
    const call = await odd.session.call('odd', {}, { id: 'c' })
    await call.next()
    await odd.session.notify('notifications/cancelled', { requestId: 'c' })
    expect(await call.messages()).toEqual([])
    expect(await odd.session.result('usual')).toBe('fine')
  })
})
