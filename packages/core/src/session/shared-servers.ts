import { setTimeout as sleep } from 'node:timers/promises'
import type { Caller } from '../context/call-log.js'
import { stateScopeOf } from '../context/principal-state.js'
import { NodeLeavingError } from '../errors.js'
import type { JsonRpcMessage, JsonRpcRequest } from '../json-rpc.js'
import { isNotification, isRequest } from '../json-rpc.js'
import type { Logger } from '../logger.js'
import { changeIn } from './changes.js'
import type { Changes } from './changes.js'
import { clientInfoOf, clientKeyOf, initializeFor } from './envelope.js'
import { ParamHeaders } from './param-headers.js'
import type { Heard, ProxyOrigin, SessionIdentity, SessionInfo, Spoken } from './server-factory.js'
import { NobodyToAskError, notTaken, ServerRefusedError, ServersBusyError } from './session-errors.js'
import type { SessionServer } from './session-server.js'
import type { Alone } from './session-servers.js'
import type { Standalone } from './standalone.js'
import { TellingSession } from './telling-session.js'
import type { MessageExtra } from './transport.js'

export type SharedServerServices = {
  callerOf: (principal: string | undefined, authInfo: unknown) => Caller
  /** Makes a server object that belongs to no session. */
  make: (identity: SessionIdentity, alone: Alone) => Promise<SessionServer>
  /** Set if the server objects stand for a server behind HTTP. */
  proxy: ProxyOrigin | undefined
  changes: Changes
  logger: Logger
  maxServers: number
  serverIdleMs: number
}

/** The one that passes requests on to a server behind HTTP that needs no session. */
const PASSING = 'passing'
/** For how long the tools that a caller was told of say which headers repeat their parameters. */
const LISTED_MS = 60_000
/** Of how many principals something is kept. */
const MOST_PRINCIPALS = 1000
/** How long a client waits for a server behind this one to be heard. */
const HEARD_WITHIN_MS = 1000

const LOST =
  'a call without a session has added, updated, enabled, disabled or removed tools, prompts or resources: no other request gets to see that. ' +
  'Keep what they depend on in `ctx.state`, and let the factory read it from `session.state`'

/** A request without a session, the scope that it would have, and whose it is. */
export type AskedAlone = { request: JsonRpcRequest; scope: string; principal: string | undefined }

/**
 * Server objects for requests without sessions. One serves all requests of a principal whose clients say the same of themselves,
 * if the factory makes it without a look at what it is told; else each request has its own.
 */
export class SharedServers {
  readonly #services: SharedServerServices
  /** `undefined`: not to be shared after all. */
  readonly #held = new Map<string, Promise<SessionServer | undefined>>()
  readonly #ready = new Map<string, SessionServer>()
  /** By principal. */
  readonly #lists = new Map<string | undefined, { headers: ParamHeaders; until: number }>()
  /** What a call has changed in them is nobody else's: they end what they run. */
  readonly #retired = new Set<SessionServer>()
  /** The factory has looked at what it is told. */
  #looks = false
  /** By principal. */
  readonly #serverInfos = new Map<string | undefined, unknown>()
  #saidLost = false
  #closed = false

  constructor(services: SharedServerServices) {
    this.#services = services
  }

  /** What the server calls itself to this principal, or to everybody, as far as it was heard here. */
  serverInfoFor(principal: string | undefined): unknown {
    return this.#serverInfos.get(principal) ?? this.#serverInfos.get(undefined)
  }

  get size() {
    return this.#ready.size
  }

  /** If nothing has to be done for it. */
  ready(asked: AskedAlone): SessionServer | undefined {
    const { proxy } = this.#services
    const key = proxy && !proxy.known ? undefined : this.#keyOf(asked, proxy?.known)
    if (key === undefined || this.#closed) return undefined
    const server = this.#ready.get(key)
    if (server) server.usedAt = performance.now()
    return server
  }

  async get(asked: AskedAlone, extra: MessageExtra): Promise<SessionServer> {
    if (this.#closed) throw new NodeLeavingError()
    const spoken = await this.#services.proxy?.spoken(extra)
    const server = await this.#obtain(asked, spoken, extra).catch(async (error: unknown) => {
      const now = error instanceof ServerRefusedError ? await this.#services.proxy?.spoken(extra) : undefined
      // It has been replaced by one that speaks another version.
      if (now && now.sessionless !== spoken?.sessionless) return this.#obtain(asked, now, extra)
      throw error
    })
    if (this.#closed) throw new NodeLeavingError()
    server.usedAt = performance.now()
    return server
  }

  async #obtain(asked: AskedAlone, spoken: Spoken | undefined, extra: MessageExtra): Promise<SessionServer> {
    const key = this.#keyOf(asked, spoken)
    const server = await (this.#held.get(key) ?? this.#make(key, asked, spoken, extra))
    return server ?? this.#obtain(asked, spoken, extra)
  }

  /**
   * Listens to a server behind HTTP for one client, until `end`; `uris`: of resources. Resolves when it is heard, with what the
   * server says of itself. Rejects with a `ServerRefusedError`.
   */
  async listen(
    asked: AskedAlone,
    uris: (about: Record<string, unknown>) => readonly string[],
    extra: MessageExtra,
    to: Heard,
  ): Promise<{
    about: Record<string, unknown>
    acknowledged: Record<string, unknown> | undefined
    end: () => void
  }> {
    const { proxy } = this.#services
    const spoken = await proxy?.spoken(extra)
    if (proxy && spoken?.sessionless) {
      const listening = proxy.listen(asked.request, extra, to)
      await listening.heard()
      const { acknowledged } = listening
      return { about: spoken.about, acknowledged, end: () => listening.end() }
    }
    const standalone: Standalone = {
      ...this.#outsideOfCalls,
      send: async (message) => {
        if (isRequest(message)) throw new NobodyToAskError()
        if (isNotification(message)) to.tell(message)
      },
    }
    const server = (await this.#make(asked.scope, asked, spoken, extra, standalone))!
    let end: () => void = () => undefined
    void server.isWanted(new Promise<void>((resolve) => (end = resolve)))
    const stop = () => {
      end()
      void this.#drop(asked.scope)
    }
    try {
      server.clientListens(true)
      const about = server.initialized ?? {}
      for (const uri of uris(about))
        await server.ask({ jsonrpc: '2.0', id: 0, method: 'resources/subscribe', params: { uri } }, extra)
      await Promise.race([server.heard(), sleep(HEARD_WITHIN_MS, undefined, { ref: false })])
      return { about, acknowledged: undefined, end: stop }
    } catch (error) {
      stop()
      throw error
    }
  }

  /** One that was asked something for a request, and that no request will be run on. */
  async letGo({ scope }: AskedAlone) {
    if (this.#ready.get(scope)?.busy === false) await this.#drop(scope)
  }

  #keyOf({ request, scope, principal }: AskedAlone, spoken: Spoken | undefined): string {
    if (spoken?.sessionless) return PASSING
    return this.#looks || spoken ? scope : clientKeyOf(request, principal)
  }

  #make(
    key: string,
    asked: AskedAlone,
    spoken: Spoken | undefined,
    extra: MessageExtra,
    standalone = this.#outsideOfCalls,
  ): Promise<SessionServer | undefined> {
    this.#makeRoom()
    const making = this.#begin(key, asked, spoken, extra, standalone)
    this.#held.set(key, making)
    const settled = (server?: SessionServer) => {
      if (this.#held.get(key) !== making) return
      if (server) this.#ready.set(key, server)
      else this.#held.delete(key)
    }
    making.then(settled, () => settled())
    return making
  }

  async #begin(
    key: string,
    { request, scope, principal }: AskedAlone,
    spoken: Spoken | undefined,
    extra: MessageExtra,
    standalone: Standalone,
  ): Promise<SessionServer | undefined> {
    const { proxy } = this.#services
    const identity = { sessionId: scope, clientInfo: clientInfoOf(request), principal }
    const telling = new TellingSession()
    // What nobody else uses goes when it has done its work.
    const onIdle = () => (key === scope ? void this.#drop(key) : undefined)
    const tell = (session: SessionInfo) => new Proxy(session, telling)
    const initialize = initializeFor(request)
    const putState = async () => 'unknown' as const
    const stateScope = stateScopeOf(this.#services.callerOf(principal, extra.authInfo))
    const behind = proxy && {
      make: () => proxy.alone(spoken ?? { sessionless: false }, initialize),
      paramHeaders: this.#paramHeadersFor(principal),
    }
    const made: { server?: SessionServer } = {}
    const onRegistered = () => made.server && this.#retire(key, made.server, key !== scope)
    const onClosed = (closed: SessionServer) => {
      if (this.#ready.get(key) === closed) void this.#drop(key)
    }
    const alone = { standalone, putState, onIdle, onClosed, onRegistered, stateScope, tell, ...behind }
    const server = await this.#services.make(identity, alone)
    telling.end()
    made.server = server
    try {
      if (telling.isRead && key !== scope) {
        this.#looks = true
        await server.close()
        return undefined
      }
      const response = await server.ask(initialize, extra)
      if ('error' in response) {
        proxy?.doubt()
        throw new ServerRefusedError(proxy ? response : notTaken(response))
      }
      const toWhom = key === PASSING ? undefined : principal
      keepNewest(this.#serverInfos, toWhom, server.initialized?.['serverInfo'])
      server.notify({ jsonrpc: '2.0', method: 'notifications/initialized' }, extra)
      return server
    } catch (error) {
      await server.close()
      throw error
    }
  }

  /** A server with sessions gets one for each request: what its tools are need not be asked each time. */
  #paramHeadersFor(principal: string | undefined): ParamHeaders {
    const now = performance.now()
    const known = this.#lists.get(principal)
    if (known && known.until > now) return known.headers
    const headers = new ParamHeaders()
    keepNewest(this.#lists, principal, { headers, until: now + LISTED_MS })
    return headers
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
    if (this.#held.size + this.#retired.size < this.#services.maxServers) return
    for (const server of this.#retired) {
      if (server.busy) continue
      this.#retired.delete(server)
      return void server.close()
    }
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
    for (const server of this.#retired) {
      if (server.busy || server.usedAt > before) continue
      this.#retired.delete(server)
      void server.close()
    }
  }

  /** No other request may see what a call has enabled, added or taken away. */
  #retire(key: string, server: SessionServer, isShared: boolean) {
    if (isShared) {
      if (this.#ready.get(key) === server) {
        this.#held.delete(key)
        this.#ready.delete(key)
      }
      this.#retired.add(server)
    }
    if (this.#saidLost || server.reads.any) return
    this.#saidLost = true
    this.#services.logger.warn({}, LOST)
  }

  async #drop(key: string) {
    const server = this.#ready.get(key)
    this.#held.delete(key)
    this.#ready.delete(key)
    await server?.close()
  }

  async close() {
    this.#closed = true
    const retired = [...this.#retired].map((server) => server.close())
    await Promise.all([...retired, ...[...this.#ready.keys()].map((key) => this.#drop(key))])
  }
}

function keepNewest<T>(of: Map<string | undefined, T>, principal: string | undefined, value: T) {
  of.delete(principal)
  of.set(principal, value)
  const [oldest] = of.keys()
  if (of.size > MOST_PRINCIPALS) of.delete(oldest)
}
