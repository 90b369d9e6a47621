import { NodeLeavingError } from '../errors.js'
import type { JsonRpcMessage, JsonRpcRequest } from '../json-rpc.js'
import { isRequest } from '../json-rpc.js'
import { changeIn } from './changes.js'
import type { Changes } from './changes.js'
import { clientInfoOf, clientKeyOf, initializeFor } from './envelope.js'
import type { SessionIdentity } from './server-factory.js'
import { NobodyToAskError, ServersBusyError } from './session-errors.js'
import type { SessionServer } from './session-server.js'
import type { Alone } from './session-servers.js'
import type { Standalone } from './standalone.js'
import type { MessageExtra } from './transport.js'

export type SharedServerServices = {
  /** Makes a server object that belongs to no session. */
  make: (identity: SessionIdentity, alone: Alone) => Promise<SessionServer>
  /** The factory makes the same for everybody: it takes no parameter. */
  isSame: boolean
  changes: Changes
  maxServers: number
  serverIdleMs: number
}

type Asked = { request: JsonRpcRequest; scope: string; principal: string | undefined }

/**
 * Server objects for requests without sessions. One serves all requests of clients that say the same of themselves, if the
 * factory makes the same for everybody; else each request has its own.
 */
export class SharedServers {
  readonly #services: SharedServerServices
  readonly #held = new Map<string, Promise<SessionServer>>()
  readonly #ready = new Map<string, SessionServer>()
  #serverInfo: unknown
  #closed = false

  constructor(services: SharedServerServices) {
    this.#services = services
  }

  /** What the server calls itself, as far as it was heard here. */
  get serverInfo(): unknown {
    return this.#serverInfo
  }

  get size() {
    return this.#ready.size
  }

  /** If nothing has to be done for it. */
  ready({ request }: Asked): SessionServer | undefined {
    if (!this.#services.isSame || this.#closed) return undefined
    const server = this.#ready.get(clientKeyOf(request))
    if (server) server.usedAt = performance.now()
    return server
  }

  async get(asked: Asked, extra: MessageExtra): Promise<SessionServer> {
    if (this.#closed) throw new NodeLeavingError()
    const { isSame } = this.#services
    const key = isSame ? clientKeyOf(asked.request) : asked.scope
    const held = this.#held.get(key) ?? this.#make(key, asked, extra)
    const server = await held
    if (this.#closed) throw new NodeLeavingError()
    server.usedAt = performance.now()
    return server
  }

  #make(key: string, asked: Asked, extra: MessageExtra): Promise<SessionServer> {
    this.#makeRoom()
    const making = this.#begin(key, asked, extra)
    this.#held.set(key, making)
    making.then(
      (server) => this.#held.get(key) === making && this.#ready.set(key, server),
      () => this.#held.get(key) === making && this.#held.delete(key),
    )
    return making
  }

  async #begin(key: string, { request, scope, principal }: Asked, extra: MessageExtra) {
    const identity = { sessionId: scope, clientInfo: clientInfoOf(request), principal }
    // What nobody else uses goes when it has done its work.
    const onIdle = () => (this.#services.isSame ? undefined : void this.#drop(key))
    const putState = async () => 'unknown' as const
    const standalone = this.#outsideOfCalls
    const server = await this.#services.make(identity, { standalone, putState, onIdle })
    try {
      await server.ask(initializeFor(request), extra)
      this.#serverInfo = server.initialized?.['serverInfo']
      server.notify({ jsonrpc: '2.0', method: 'notifications/initialized' }, extra)
      return server
    } catch (error) {
      await server.close()
      throw error
    }
  }

  /** Who listens hears what has changed; there is nobody who could be asked. */
  readonly #outsideOfCalls: Standalone = {
    send: async (message: JsonRpcMessage) => {
      if (isRequest(message)) throw new NobodyToAskError()
      const change = changeIn(message)
      if (change) await this.#services.changes.publish(change)
    },
    openInbox: () => ({ end: () => undefined }),
  }

  #makeRoom() {
    if (this.#held.size < this.#services.maxServers) return
    let oldest: [key: string, usedAt: number] | undefined
    for (const [key, { busy, usedAt }] of this.#ready)
      if (!busy && !(oldest && oldest[1] <= usedAt)) oldest = [key, usedAt]
    if (!oldest) throw new ServersBusyError()
    void this.#drop(oldest[0])
  }

  /** Lets go of server objects that nothing has used for `serverIdleMs`. */
  evictIdle() {
    const before = performance.now() - this.#services.serverIdleMs
    for (const [key, { busy, usedAt }] of this.#ready) if (!busy && usedAt <= before) void this.#drop(key)
  }

  async #drop(key: string) {
    const server = this.#ready.get(key)
    this.#held.delete(key)
    this.#ready.delete(key)
    await server?.close()
  }

  async close() {
    this.#closed = true
    await Promise.all([...this.#ready.keys()].map((key) => this.#drop(key)))
  }
}
