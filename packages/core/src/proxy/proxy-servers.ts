import type { ProxySession } from '../call/record.js'
import type { JsonRpcError, JsonRpcMessage, JsonRpcRequest } from '../json-rpc.js'
import type { Logger } from '../logger.js'
import type { MessageExtra } from '../session/transport.js'
import type {
  BegunSession,
  Heard,
  ProxyObject,
  ProxyOrigin,
  SessionInfo,
  Spoken,
} from '../session/server-factory.js'
import { serverNameIn } from '../session/server-names.js'
import type { Standalone } from '../session/standalone.js'
import type { StateEntry, Store } from '../store/store.js'
import { BadAnswerError, drain, isOk } from './answer.js'
import { initializeFor } from '../session/envelope.js'
import { ALONE, Channel, NO_SESSION } from './channel.js'
import type { Backend } from './channel.js'
import { discover, Discovery, enveloped } from './discovery.js'
import { SessionlessProxy } from './sessionless-proxy.js'
import { ProxyServer } from './proxy-server.js'
import { Link } from './link.js'
import { Listening } from './listening.js'
import { broken, refusalOf, unreachable } from './refusal.js'
import { answerIn, UNUSABLE } from './server-session.js'
import { isAsked } from './standalone-questions.js'

const TRIED_WITHIN_MS = 10_000
const INITIALIZED = { jsonrpc: '2.0', method: 'notifications/initialized' } as const

export type ProxyServersOptions = {
  backend: Backend
  store: Store
  /** What is said to the client of a session outside of its requests. */
  standalone: (sessionId: string) => Standalone
  logger: Logger
  graceMs: number
  maxRuns: number
  /** The largest message that is taken from the server. */
  maxBytes: number
}

/** Makes the server objects of a server behind HTTP. */
export class ProxyServers implements ProxyOrigin {
  readonly #options: ProxyServersOptions
  readonly #channel: Channel
  readonly #discovery: Discovery

  constructor(options: ProxyServersOptions) {
    this.#options = options
    this.#channel = new Channel(options.backend)
    this.#discovery = new Discovery(this.#channel, options.maxBytes)
  }

  get shared() {
    return this.#options.backend.shared
  }

  make({ sessionId }: SessionInfo): ProxyServer {
    const { store, standalone, ...services } = this.#options
    const asking = { scope: sessionId, store, standalone: standalone(sessionId) }
    return new ProxyServer({
      ...services,
      asking: this.shared ? asking : undefined,
      link: this.shared ? new Link(store, sessionId, services.backend.address) : undefined,
      readState: async () => store.readState(sessionId, 0),
    })
  }

  get known() {
    return this.#discovery.known
  }

  spoken(extra: MessageExtra) {
    return this.#discovery.spoken(extra)
  }

  doubt() {
    this.#discovery.doubt()
  }

  alone(spoken: Spoken, initialize: JsonRpcRequest): ProxyObject {
    const { store: _, standalone: _standalone, ...services } = this.#options
    if (!spoken.sessionless) {
      const told: JsonRpcMessage[] = [initialize, INITIALIZED]
      const readState = async () => told.map(asState)
      const keep = (request: JsonRpcRequest) => void told.push(request)
      return new ProxyServer({ ...services, link: undefined, readState, alone: true, keep })
    }
    const { about } = spoken
    const { backend: __, ...limits } = services
    const channel = this.#channel
    return new SessionlessProxy({ ...limits, channel, about, shared: this.shared, doubt: () => this.doubt() })
  }

  listen(request: JsonRpcRequest, extra: MessageExtra, to: Heard) {
    const { logger, maxBytes } = this.#options
    const complain = (error: Error) => logger.warn({ error }, UNUSABLE)
    return new Listening({ channel: this.#channel, maxBytes, complain }, enveloped(request), extra, to)
  }

  async hasAsked(sessionId: string, asker: string): Promise<boolean> {
    return isAsked(this.#options.store, sessionId, asker)
  }

  async linkedTo(sessionId: string): Promise<ProxySession | undefined> {
    const { store, backend } = this.#options
    if (!this.shared) return undefined
    const linked = await new Link(store, sessionId, backend.address).read()
    return linked?.session
  }

  async end(session: ProxySession, extra: MessageExtra) {
    await new Channel(this.#options.backend).delete(session, extra).catch(() => undefined)
  }

  async serverName(
    { sessionId, server, initialize }: BegunSession,
    extra: MessageExtra,
  ): Promise<string | undefined> {
    const { backend, store, maxBytes } = this.#options
    // Where the session was begun at the same address, it need not be asked.
    const linked = this.shared ? await new Link(store, sessionId, backend.address).read() : undefined
    if (linked?.at !== undefined && linked.at === backend.address) return server
    try {
      const signal = AbortSignal.timeout(TRIED_WITHIN_MS)
      const answer = await new Channel(backend).post(NO_SESSION, initialize, extra, signal)
      if (!isOk(answer)) {
        await drain(answer)
        return undefined
      }
      const id = answer.header('mcp-session-id')
      const response = await answerIn(answer, initialize, maxBytes)
      if (id) await this.end({ id, protocol: undefined }, extra)
      return 'result' in response ? serverNameIn(response.result) : undefined
    } catch {
      return undefined
    }
  }

  /** What the server says to `initialize` of a caller; `undefined`: it lets it in. The session that begins so is ended. */
  async tryCaller(initialize: JsonRpcRequest, request: Request): Promise<JsonRpcError | undefined> {
    const channel = new Channel(this.#options.backend)
    try {
      const signal = AbortSignal.timeout(TRIED_WITHIN_MS)
      const answer = await channel.post(NO_SESSION, initialize, { request }, signal)
      if (!isOk(answer)) return await refusalOf(initialize.id, answer)
      const id = answer.header('mcp-session-id')
      await drain(answer)
      if (id) await this.end({ id, protocol: undefined }, { request })
      return undefined
    } catch (error) {
      return error instanceof BadAnswerError
        ? broken(initialize.id, error.message)
        : unreachable(initialize.id)
    }
  }

  /** As `tryCaller`, of a caller without a session: what the server says to the request that says who it is. */
  async tryAlone(request: Request): Promise<JsonRpcError | undefined> {
    const { sessionless } = await this.spoken({ request })
    if (!sessionless) return this.tryCaller(initializeFor(discover()), request)
    const asked = discover()
    try {
      const signal = AbortSignal.timeout(TRIED_WITHIN_MS)
      const answer = await this.#channel.post(ALONE, asked, { request }, signal)
      if (!isOk(answer)) return await refusalOf(asked.id, answer)
      await drain(answer)
      return undefined
    } catch (error) {
      return error instanceof BadAnswerError ? broken(asked.id, error.message) : unreachable(asked.id)
    }
  }

  async close() {
    await this.#options.backend.close?.()
  }
}

const asState = (message: JsonRpcMessage, place: number): StateEntry => ({
  key: 'method' in message ? message.method : '',
  version: place + 1,
  data: JSON.stringify(message),
})
