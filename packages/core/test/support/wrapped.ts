import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createAdaptorServer } from '@hono/node-server'
import { WebStandardStreamableHTTPServerTransport as TransportV1 } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import { WebStandardStreamableHTTPServerTransport as TransportV2 } from '@modelcontextprotocol/server'
import { freePort } from '../../../../test-support/index.js'
import { eventStore } from '../../src/sdk.js'
import { memoryStore } from '../../src/index.js'
import type { FetchHandler } from '../../src/index.js'
import type { ServerObject } from '../../src/sdk.js'
import { authInfoOf } from './serve.js'

/** What `durable()` is given: server objects, a handler that keeps transports in a Map, or the URL of a server. */
export const HOSTS = ['server', 'handler', 'upstream'] as const
export type HostKind = (typeof HOSTS)[number]

type TransportOptions = {
  sdk: 'v1' | 'v2'
  /** Without one its streams can't be resumed. Default: one. */
  resumable?: boolean
  json?: boolean
}

/** A server as the SDK's examples write it: one transport for each session, in a Map. */
export class MapOfTransports {
  readonly sessions = new Map<string, TransportV1 | TransportV2>()
  readonly #make: () => ServerObject
  readonly #options: TransportOptions
  readonly #events = memoryStore()

  constructor(make: () => ServerObject, options: TransportOptions) {
    this.#make = make
    this.#options = options
  }

  readonly fetch: FetchHandler = async (request, { authInfo }) => {
    const id = request.headers.get('mcp-session-id')
    const auth = { ...(authInfo && { authInfo: authInfo as never }) }
    const known = id === null ? undefined : this.sessions.get(id)
    if (known) return known.handleRequest(request, auth)
    if (id !== null) return Response.json(REFUSED, { status: 404 })
    return (await this.#begin()).handleRequest(request, auth)
  }

  /** As a restart would. */
  forget() {
    for (const transport of this.sessions.values()) void transport.close()
    this.sessions.clear()
  }

  async #begin() {
    const { sdk, resumable = true, json = false } = this.#options
    const Transport = sdk === 'v1' ? TransportV1 : TransportV2
    const transport: TransportV1 | TransportV2 = new Transport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id: string) => void this.sessions.set(id, transport),
      onsessionclosed: (id: string) => void this.sessions.delete(id),
      enableJsonResponse: json,
      retryInterval: 20,
      ...(resumable && { eventStore: eventStore(this.#events, randomUUID()) }),
    })
    await this.#make().connect(transport)
    return transport
  }
}

const REFUSED = { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } }

/** A server at a URL, which can go away and come back. */
export class Upstream implements AsyncDisposable {
  readonly #handler: FetchHandler
  #server: ReturnType<typeof createAdaptorServer> | undefined
  #port = 0
  /** Every request that came, in order. */
  readonly requests: { method: string; headers: Headers; body: string; url: string }[] = []
  /** What it answers in place of its handler, where that is something. */
  instead: (request: Request, body: string) => Response | undefined = () => undefined

  private constructor(handler: FetchHandler) {
    this.#handler = handler
  }

  static async start(handler: FetchHandler): Promise<Upstream> {
    const upstream = new Upstream(handler)
    await upstream.listen()
    return upstream
  }

  get url() {
    return `http://127.0.0.1:${this.#port}/mcp`
  }

  async listen() {
    const server = createAdaptorServer({ fetch: async (request) => this.#serve(request) })
    this.#port ||= await freePort()
    server.listen(this.#port, '127.0.0.1')
    await once(server, 'listening')
    this.#server = server
  }

  /** Breaks every connection and takes no new one. */
  async cut() {
    const server = this.#server
    if (!server) return
    this.#server = undefined
    const closed = once(server, 'close')
    server.close()
    if ('closeAllConnections' in server) server.closeAllConnections()
    await closed
  }

  async #serve(request: Request) {
    const body = request.method === 'POST' ? await request.clone().text() : ''
    this.requests.push({
      method: request.method,
      headers: new Headers(request.headers),
      body,
      url: request.url,
    })
    const instead = this.instead(request, body)
    if (instead) return instead
    const authInfo = authInfoOf(request.headers.get('authorization'))
    return this.#handler(request, authInfo ? { authInfo } : {})
  }

  async [Symbol.asyncDispose]() {
    await this.cut()
  }
}
