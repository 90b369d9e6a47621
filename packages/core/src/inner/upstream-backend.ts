import { Agent as HttpAgent, request as requestHttp } from 'node:http'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { Readable } from 'node:stream'
import { UnsentError } from './channel.js'
import type { Backend, InnerRequest } from './channel.js'

/** Headers of the client that say something of the request itself, and nothing of the connection or of who sent it. */
export const PASSED_HEADERS = ['accept-language', 'baggage', 'traceparent', 'tracestate', 'user-agent']

const CONNECT_WITHIN_MS = 10_000
const NO_BODY = new Set([204, 205, 304])

/**
 * A server behind a URL. Node's own `http` and not `fetch`, which gives up on a stream that says nothing for five
 * minutes, and does not tell a request that was never sent from one that was.
 */
export class UpstreamBackend implements Backend {
  readonly shared = true
  readonly #url: URL
  readonly #passed: readonly string[]
  readonly #agent: HttpAgent

  constructor(url: string | URL, passedHeaders: readonly string[]) {
    this.#url = new URL(url)
    this.#passed = passedHeaders
    this.#agent = new (this.#url.protocol === 'https:' ? HttpsAgent : HttpAgent)({ keepAlive: true })
  }

  async exchange({ method, headers, body, signal, extra }: InnerRequest): Promise<Response> {
    const passed = this.#passed.flatMap((name) => {
      const value = extra.request?.headers.get(name)
      return value == null ? [] : [[name, value]]
    })
    const request = this.#url.protocol === 'https:' ? requestHttps : requestHttp
    const outgoing = request(this.#url, {
      method,
      agent: this.#agent,
      headers: {
        ...Object.fromEntries(passed),
        ...headers,
        ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
      },
      ...(signal && { signal }),
    })
    outgoing.end(body)
    return responseOf(outgoing)
  }

  close() {
    this.#agent.destroy()
  }
}

function responseOf(outgoing: ClientRequest): Promise<Response> {
  return new Promise((resolve, reject) => {
    let connected = false
    outgoing.once('socket', (socket) => {
      connected = !socket.connecting
      if (connected) return
      const timer = setTimeout(
        () => outgoing.destroy(new Error('The upstream did not accept a connection in time.')),
        CONNECT_WITHIN_MS,
      )
      socket.once('connect', () => (connected = true))
      for (const event of ['connect', 'close']) socket.once(event, () => clearTimeout(timer))
    })
    outgoing.once('response', (incoming) => resolve(toResponse(incoming)))
    outgoing.on('error', (error) =>
      reject(
        connected
          ? error
          : new UnsentError(`The upstream cannot be reached: ${error.message}`, { cause: error }),
      ),
    )
  })
}

function toResponse(incoming: IncomingMessage): Response {
  const { statusCode: status = 502, headersDistinct } = incoming
  const headers = new Headers()
  for (const [name, values = []] of Object.entries(headersDistinct))
    for (const value of values) headers.append(name, value)
  if (NO_BODY.has(status)) {
    incoming.resume()
    return new Response(null, { status, headers })
  }
  return new Response(Readable.toWeb(incoming) as ReadableStream<Uint8Array>, { status, headers })
}
