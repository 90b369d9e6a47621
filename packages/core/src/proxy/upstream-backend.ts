import { Agent as HttpAgent, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { Answer } from './answer.js'
import { digest } from '../ids.js'
import { UnsentError } from './channel.js'
import type { Backend, ProxyRequest } from './channel.js'
import type { MessageExtra } from '../session/transport.js'
import type { Signals } from '../signals/signals.js'
import { headerOf } from './kept-header.js'
import { answerOf, incomingFor } from './node-http.js'
import { parseUrl } from '../parse-url.js'

/** Headers of the client that say something of the request itself, and nothing of the connection or of who sent it. */
export const PASSED_HEADERS = ['accept-language', 'baggage', 'traceparent', 'tracestate', 'user-agent']

const MOST_REDIRECTS = 3
/** An idle connection is closed before servers close it, mostly after 5 s: what was sent meanwhile would be lost. */
const KEPT_MS = 3000

/**
 * A server behind a URL. Node's own `http` and not `fetch`, which gives up on a stream that says nothing for five
 * minutes, and does not tell a request that was never sent from one that was.
 */
export class UpstreamBackend implements Backend {
  readonly shared = true
  readonly address: string
  readonly #url: URL
  readonly #passed: readonly string[]
  readonly #trace: Signals['trace']
  readonly #agent: HttpAgent

  /** `trace`: goes before the trace of the client, which is above it. */
  constructor(url: string | URL, passedHeaders: readonly string[], trace: Signals['trace']) {
    this.#url = new URL(url)
    this.address = digest(this.#url.href)
    this.#passed = passedHeaders
    this.#trace = trace
    this.#agent = new (this.#url.protocol === 'https:' ? HttpsAgent : HttpAgent)({
      keepAlive: true,
      timeout: KEPT_MS,
    })
  }

  async exchange(request: ProxyRequest): Promise<Answer> {
    for (let url = this.#url, redirects = 0; ; redirects++) {
      const answer = await this.#send(url, request)
      const target = redirects < MOST_REDIRECTS ? redirectOf(answer, url) : undefined
      if (!target) return answer
      answer.cancel()
      url = target
    }
  }

  async #send(url: URL, { method, headers, body, signal, extra }: ProxyRequest): Promise<Answer> {
    const request = url.protocol === 'https:' ? requestHttps : requestHttp
    const all = {
      ...this.#passedFrom(extra),
      ...this.#trace?.(),
      ...headers,
      ...(body !== undefined && { 'content-length': Buffer.byteLength(body) }),
    }
    const outgoing = unsentIfThrown(() => request(url, { method, agent: this.#agent, headers: all }))
    outgoing.end(body)
    return answerOf(await incomingFor(outgoing, signal))
  }

  #passedFrom(extra: MessageExtra): Record<string, string> {
    const passed = this.#passed.flatMap((name) => {
      const value = headerOf(name, extra)
      return value === undefined ? [] : [[name, value]]
    })
    return Object.fromEntries(passed) as Record<string, string>
  }

  close() {
    this.#agent.destroy()
  }
}

/** Node refuses what can't be a header. */
function unsentIfThrown<T>(begin: () => T): T {
  try {
    return begin()
  } catch (error) {
    throw new UnsentError(`The request cannot be sent: ${(error as Error).message}`, { cause: error })
  }
}

/** Many servers send `/mcp` on to `/mcp/`. Only within the same origin: what is passed on is meant for that. */
function redirectOf(answer: Answer, from: URL): URL | undefined {
  const { status } = answer
  const location = answer.header('location')
  if ((status !== 307 && status !== 308) || location === undefined) return undefined
  const target = parseUrl(location, from)
  return target?.origin === from.origin ? target : undefined
}
