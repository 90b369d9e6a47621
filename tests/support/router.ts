import { createServer, request as httpRequest } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { Log } from './log.js'

/**
 * What a request is: `GET` opens the standalone stream, `resume` is a GET with a `Last-Event-ID`, `answer` is the
 * POST of a response, and every other POST is named by the method of its message.
 */
export type Kind = string

/** Where a request may go. */
export interface Backend {
  readonly name: string
  readonly url: string
}

/** One request of a client, and what became of it. */
export interface Exchange {
  readonly kind: Kind
  readonly lastEventId: string | undefined
  /** The name of the node that got it last. */
  node: string
  /** `undefined` until the node has answered. */
  status: number | undefined
  ended: boolean
}

type Live = { exchange: Exchange; cut: () => void }
type Hold = { kind: Kind; gate: Promise<void> }

/** A proxy before the nodes. A test says which kind of request goes to which node, and may hold or cut them. */
export class Router implements AsyncDisposable {
  readonly exchanges = new Log<Exchange>('exchanges of the router')
  readonly #server: Server
  readonly #routes = new Map<Kind, Backend>()
  readonly #live = new Set<Live>()
  readonly #holds = new Set<Hold>()
  readonly #eventLimits = new Map<Kind, number>()
  #inTurn: readonly Backend[]
  #turn = 0

  private constructor(backends: readonly Backend[]) {
    this.#inTurn = backends
    this.#server = createServer((request, response) => void this.#serve(request, response))
  }

  /** Without a route, requests go to `backends` in turn; to the next one when one refuses. */
  static async start(...backends: Backend[]): Promise<Router> {
    const router = new Router(backends)
    await new Promise<void>((resolve) => router.#server.listen(0, '127.0.0.1', resolve))
    return router
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/mcp`)
  }

  route(backend: Backend, ...kinds: Kind[]): this {
    for (const kind of kinds) this.#routes.set(kind, backend)
    return this
  }

  /** Requests without a route of their own go to these in turn from now on. */
  others(...backends: Backend[]): this {
    this.#inTurn = backends
    return this
  }

  /** Lets requests of this kind wait until the function that it returns is called. */
  hold(kind: Kind): () => void {
    let release: () => void = () => undefined
    const hold = { kind, gate: new Promise<void>((resolve) => (release = resolve)) }
    this.#holds.add(hold)
    return () => {
      this.#holds.delete(hold)
      release()
    }
  }

  /** Breaks the connections of these kinds that are open, as a network does. */
  cut(...kinds: Kind[]): number {
    const live = [...this.#live].filter(({ exchange }) => kinds.includes(exchange.kind))
    for (const { cut } of live) cut()
    return live.length
  }

  /** From now on, streams of these kinds break when they have carried so many events. */
  breakAfter(events: number, ...kinds: Kind[]): this {
    for (const kind of kinds) this.#eventLimits.set(kind, events)
    return this
  }

  /** The first exchange of this kind that a node has answered. */
  answered(kind: Kind, since = 0): Promise<Exchange> {
    return this.exchanges.first((exchange) => exchange.kind === kind && exchange.status !== undefined, since)
  }

  /** The names of the nodes that got requests of this kind, each once. */
  nodesOf(...kinds: Kind[]): string[] {
    const items = this.exchanges.items.filter(({ kind }) => kinds.includes(kind))
    return [...new Set(items.map(({ node }) => node))].toSorted()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { cut } of this.#live) cut()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #serve(request: IncomingMessage, response: ServerResponse) {
    try {
      const body = await buffer(request)
      const kind = kindOf(request, body)
      const lastEventId = request.headers['last-event-id']?.toString()
      const exchange: Exchange = { kind, lastEventId, node: '', status: undefined, ended: false }
      this.exchanges.push(exchange)
      response.on('close', () => {
        exchange.ended = true
        this.exchanges.changed()
      })
      for (const hold of this.#holds) if (hold.kind === kind) await hold.gate
      if (!response.destroyed) await this.#forward(request, response, { body, exchange })
    } catch {
      response.destroy()
    }
  }

  async #forward(
    request: IncomingMessage,
    response: ServerResponse,
    { body, exchange }: { body: Buffer; exchange: Exchange },
  ) {
    const routed = this.#routes.get(exchange.kind)
    const candidates = routed ? [routed] : rotate(this.#inTurn, this.#turn++)
    const live: Live = { exchange, cut: () => response.destroy() }
    const closed = new AbortController()
    this.#live.add(live)
    response.once('close', () => {
      this.#live.delete(live)
      closed.abort()
    })
    for (const [index, backend] of candidates.entries()) {
      exchange.node = backend.name
      const upstream = await send(request, backend, body, closed.signal).catch(() => undefined)
      if (response.destroyed) return
      // A node that leaves says so, and has done nothing; any balancer tries the next one then.
      const leaving = upstream?.statusCode === 503 && upstream.headers.connection === 'close'
      const last = index === candidates.length - 1
      if (!upstream || (leaving && !last)) {
        if (last) response.destroy()
        continue
      }
      exchange.status = upstream.statusCode
      this.exchanges.changed()
      response.writeHead(upstream.statusCode ?? 502, endToEnd(upstream))
      response.flushHeaders()
      const limit = this.#eventLimits.get(exchange.kind)
      if (limit === undefined) pipeline(upstream, response, () => undefined)
      else
        pipeline(
          upstream,
          (source) => firstEvents(source, limit),
          response,
          () => undefined,
        )
      return
    }
  }
}

function send(request: IncomingMessage, backend: Backend, body: Buffer, signal: AbortSignal) {
  return new Promise<IncomingMessage>((resolve, reject) => {
    const { method, headers, url } = request
    const { hostname, port } = new URL(backend.url)
    const upstream = httpRequest(
      { hostname, port, path: url, method, headers, agent: false, signal },
      resolve,
    )
    upstream.on('error', reject)
    upstream.end(body)
  })
}

/** Breaks off after so many events. */
async function* firstEvents(source: AsyncIterable<Buffer>, limit: number) {
  let left = limit
  for await (const chunk of source) {
    let end = 0
    for (let found = -1; left > 0 && (found = chunk.indexOf('\n\n', end)) >= 0; left--) end = found + 2
    yield left > 0 ? chunk : chunk.subarray(0, end)
    if (left > 0) continue
    // What was written has left this process by then.
    await new Promise<void>((resolve) => setImmediate(resolve))
    throw new Error(`broken after ${limit} events`)
  }
}

function endToEnd({ headers }: IncomingMessage) {
  const {
    connection: _connection,
    'keep-alive': _keepAlive,
    'transfer-encoding': _encoding,
    ...kept
  } = headers
  return kept
}

function kindOf({ method = '', headers }: IncomingMessage, body: Buffer): Kind {
  if (method === 'GET') return headers['last-event-id'] === undefined ? 'GET' : 'resume'
  if (method !== 'POST') return method
  const message = JSON.parse(body.toString()) as { method?: string }
  return message.method ?? 'answer'
}

function rotate<T>(items: readonly T[], by: number): T[] {
  const at = items.length > 0 ? by % items.length : 0
  return [...items.slice(at), ...items.slice(0, at)]
}
