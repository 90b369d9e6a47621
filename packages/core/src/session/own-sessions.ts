import type { JsonRpcRequest } from '../json-rpc.js'
import type { Store, StoredSession } from '../store/store.js'
import type { ProxyOrigin } from './server-factory.js'
import { OtherServerError } from './session-errors.js'
import type { ServerNames } from './server-names.js'
import type { SessionServers } from './session-servers.js'
import type { MessageExtra } from './transport.js'

/** A session as a client names it, and who that client is; or only claims to be, and the server behind this one has not let it in. */
export type Asked = {
  sessionId: string
  principal: string | undefined
  extra: MessageExtra
  isVouched?: boolean
}

type OwnSessionsServices = {
  store: Store
  servers: SessionServers
  names: ServerNames
  proxy: ProxyOrigin | undefined
}

/** How many sessions are looked at to hear the name of the own server. */
const MOST_LOOKED_AT = 10

/** Sessions of this node's server among those of others that use the same store. */
export class OwnSessions {
  readonly #services: OwnSessionsServices
  /** The first look for the name of this server. */
  #hearing: Promise<unknown> | undefined

  constructor(services: OwnSessionsServices) {
    this.#services = services
  }

  /** Whether several servers use the store, and are told apart by what they call themselves. */
  get isByName(): boolean {
    return this.#services.names.isUsed
  }

  /** The server of a session of this node's server, as the store is asked for it. */
  serverOf(sessionId: string): string | undefined {
    const { names, servers } = this.#services
    return names.isUsed ? (servers.peek(sessionId)?.name ?? names.own) : undefined
  }

  /**
   * Acts on a session in the name of this server; `undefined` if that is unknown to the store. Where this node has heard no
   * name yet, or the server has a name for each session, the session's own server object says whether it is its own.
   */
  async actOn<T>(
    asked: Asked,
    act: (server: string | undefined) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const server = this.serverOf(asked.sessionId)
    const outcome = await act(server)
    if (outcome !== undefined || server === undefined) return outcome
    const session = await this.#services.store.readSession(asked.sessionId)
    if (!session || session.principal !== asked.principal) return undefined
    if (session.server === undefined || session.server === server) return undefined
    return (await this.#isOthers(session, asked)) ? undefined : act(session.server)
  }

  /** As the store is asked for all sessions of this server. */
  async common(): Promise<string | undefined> {
    const { names, store } = this.#services
    if (names.isHeard || !names.isUsed) return names.common
    const { ids } = await store.listSessions(undefined, MOST_LOOKED_AT)
    for (const sessionId of ids) {
      const session = await store.readSession(sessionId)
      if (session?.server === undefined) continue
      await this.#isOthers(session, { sessionId, principal: session.principal, extra: {}, isVouched: false })
      if (names.isHeard) break
    }
    return names.common
  }

  async #isOthers(session: StoredSession, asked: Asked): Promise<boolean> {
    const { names } = this.#services
    // When a node starts, many clients come back to it at once: one of their sessions tells the name for all.
    if (!names.isHeard && this.#hearing) await this.#hearing
    if (names.own === session.server) return false
    const asking = this.#askOf(session, asked)
    if (!names.isHeard) this.#hearing = asking
    return asking
  }

  /** A server that can't be asked now is nobody else's: what a session needs of it then fails as it always would. */
  async #askOf(session: StoredSession, { sessionId, extra, isVouched = true }: Asked): Promise<boolean> {
    const { proxy, names, servers } = this.#services
    const { server = '' } = session
    try {
      if (!proxy || (isVouched && !proxy.shared)) {
        await servers.get(sessionId, session, extra)
        return false
      }
      const name = await names.ask({ sessionId, server, initialize: initializeOf(session) }, extra)
      return name !== undefined && name !== server
    } catch (error) {
      return error instanceof OtherServerError
    }
  }
}

/** The state entry of version 1. */
const initializeOf = ({ state }: StoredSession) => JSON.parse(state[0]?.data ?? '{}') as JsonRpcRequest
