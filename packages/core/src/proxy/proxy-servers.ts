import type { ProxySession } from '../call/record.js'
import type { JsonRpcError, JsonRpcRequest } from '../json-rpc.js'
import type { Logger } from '../logger.js'
import type { MessageExtra } from '../session/transport.js'
import type { ProxyOrigin, SessionInfo } from '../session/server-factory.js'
import type { Store } from '../store/store.js'
import { BadAnswerError, drain, isOk } from './answer.js'
import { Channel, NO_SESSION } from './channel.js'
import type { Backend } from './channel.js'
import { ProxyServer } from './proxy-server.js'
import { Link } from './link.js'
import { broken, refusalOf, unreachable } from './refusal.js'

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
      link: this.shared ? new Link(store, sessionId) : undefined,
      readState: async () => store.readState(sessionId, 0),
    })
  }

  async linkedTo(sessionId: string): Promise<ProxySession | undefined> {
    if (!this.shared) return undefined
    const linked = await new Link(this.#options.store, sessionId).read()
    return linked?.session
  }

  async end(session: ProxySession, extra: MessageExtra) {
    await new Channel(this.#options.backend).delete(session, extra).catch(() => undefined)
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
