import type { InnerSession } from '../call/record.js'
import type { Logger } from '../logger.js'
import type { MessageExtra } from '../session/transport.js'
import type { InnerOrigin, SessionInfo } from '../session/server-factory.js'
import type { Store } from '../store/store.js'
import { Channel } from './channel.js'
import type { Backend } from './channel.js'
import { InnerServer } from './inner-server.js'
import { Link } from './link.js'

export type InnerServersOptions = {
  backend: Backend
  store: Store
  logger: Logger
  graceMs: number
  maxRuns: number
  /** The largest message that is taken from the server. */
  maxBytes: number
}

/** Makes the server objects of a server behind HTTP. */
export class InnerServers implements InnerOrigin {
  readonly #options: InnerServersOptions

  constructor(options: InnerServersOptions) {
    this.#options = options
  }

  get shared() {
    return this.#options.backend.shared
  }

  make({ sessionId }: SessionInfo): InnerServer {
    const { store, ...services } = this.#options
    return new InnerServer({
      ...services,
      link: this.shared ? new Link(store, sessionId) : undefined,
      readState: async () => store.readState(sessionId, 0),
    })
  }

  async linkedTo(sessionId: string): Promise<InnerSession | undefined> {
    if (!this.shared) return undefined
    const linked = await new Link(this.#options.store, sessionId).read()
    return linked?.session
  }

  async end(session: InnerSession, extra: MessageExtra) {
    await new Channel(this.#options.backend).delete(session, extra).catch(() => undefined)
  }

  close() {
    this.#options.backend.close?.()
  }
}
