import { Agent as HttpAgent, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { Backend, InnerRequest } from './channel.js'
import { responseOf } from './node-http.js'

/** Headers of the client that say something of the request itself, and nothing of the connection or of who sent it. */
export const PASSED_HEADERS = ['accept-language', 'baggage', 'traceparent', 'tracestate', 'user-agent']

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
