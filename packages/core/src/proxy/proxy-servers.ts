import type { ProxySession } from '../call/record.js'
import type { JsonRpcError, JsonRpcRequest } from '../json-rpc.js'
import type { Logger } from '../logger.js'
import type { MessageExtra } from '../session/transport.js'
import type { BegunSession, ProxyOrigin, SessionInfo } from '../session/server-factory.js'
import { serverNameIn } from '../session/server-names.js'
import type { Store } from '../store/store.js'
import { BadAnswerError, drain, isOk } from './answer.js'
import { Channel, NO_SESSION } from './channel.js'
import type { Backend } from './channel.js'
import { ProxyServer } from './proxy-server.js'
import { Link } from './link.js'
import { broken, refusalOf, unreachable } from './refusal.js'
import { answerIn } from './server-session.js'

const TRIED_WITHIN_MS = 10_000

export type ProxyServersOptions = {
  backend: Backend
  store: Store
  logger: Logger
  graceMs: number
  maxRuns: number
  /** The largest message that is taken from the server. */
  maxBytes: number
}

/** Makes the server objects of a server behind HTTP. */
export class ProxyServers implements ProxyOrigin {
  readonly #options: ProxyServersOptions

  constructor(options: ProxyServersOptions) {
    this.#options = options
  }

  get shared() {
    return this.#options.backend.shared
  }

  make({ sessionId }: SessionInfo): ProxyServer {
    const { store, ...services } = this.#options
    return new ProxyServer({
      ...services,
      link: this.shared ? new Link(store, sessionId, services.backend.address) : undefined,
      readState: async () => store.readState(sessionId, 0),
    })
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

  close() {
    this.#options.backend.close?.()
  }
}
