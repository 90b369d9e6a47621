import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { MaybePromise } from '../context/maybe-promise.js'
import { DurableError, NodeLeavingError } from '../errors.js'
import type { JsonRpcRequest } from '../json-rpc.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { Signals } from '../signals/signals.js'
import type { StateEntry, Store, StoredSession } from '../store/store.js'
import type { Watch, Watcher } from '../store/watcher.js'
import { Host } from './host.js'
import type { ServerFactory, SessionInfo } from './server-factory.js'
import type { Standalone } from './standalone.js'
import type { MessageExtra } from './transport.js'

export type HostServices = {
  store: Store
  watcher: Watcher
  logger: Logger
  server: ServerFactory
  standalone: (sessionId: string) => Standalone
  signals: Signals
  validateEffects: boolean
  hostIdle: number
  maxHosts: number
}

/** The session was deleted or has expired. */
export class SessionGoneError extends DurableError {
  constructor() {
    super('session-gone', 'The session does not exist any more.')
  }
}

/** Every server object this node may hold is at work. */
export class HostsBusyError extends DurableError {
  constructor() {
    super('hosts-busy', 'This node holds as many sessions as it may; all of them are at work.')
  }
}

/** Topic on which a cancellation reaches requests that are not journaled; its value begins their request keys. */
export const CANCELLED = 'cancelled'

/** A call waits no longer for its server object before it is recorded. */
const PREPARED_WITHIN_MS = 100
/** How many names of tools are remembered. */
const MOST_NAMES = 1000

/** `gone`: the session was deleted while its server object was made. */
type Watched = { host?: Host; gone?: boolean }
type Hosted = { host: Host; synced: Promise<void>; unwatch: () => void; standing: boolean }

/** The server objects on this node, at most one per session: made when needed, kept in step with the store, let go when idle. */
export class Hosts {
  readonly #services: HostServices
  readonly #hosted = new Map<string, Promise<Hosted>>()
  #closed = false
  readonly #ready = new Map<string, Hosted>()
  /** How many standalone streams the client of a session has here. */
  readonly #listening = new Map<string, number>()
  /** Tools that only read, by some server object that was here. */
  readonly #readers = new Set<string>()

  constructor(services: HostServices) {
    this.#services = services
  }

  /** Sessions that have a server object here. */
  sessions(): Iterable<string> {
    return this.#ready.keys()
  }

  /** How many there are. */
  get size() {
    return this.#ready.size
  }

  peek(sessionId: string): Host | undefined {
    return this.#ready.get(sessionId)?.host
  }

  /** The client has opened a standalone stream here; `end`: it is closed. */
  listen(sessionId: string): () => void {
    this.#listening.set(sessionId, (this.#listening.get(sessionId) ?? 0) + 1)
    this.peek(sessionId)?.clientListens(true)
    return () => {
      const left = (this.#listening.get(sessionId) ?? 0) - 1
      if (left > 0) return void this.#listening.set(sessionId, left)
      this.#listening.delete(sessionId)
      this.peek(sessionId)?.clientListens(false)
    }
  }

  /** Before a server object is made: throws if there may be no more. */
  makeRoom() {
    if (this.#hosted.size < this.#services.maxHosts) return
    const idle = [...this.#ready].filter(([, { host }]) => !host.busy)
    if (idle.length === 0) throw new HostsBusyError()
    const [oldest] = idle.reduce((a, b) => (b[1].host.usedAt < a[1].host.usedAt ? b : a))
    void this.drop(oldest)
  }

  /** A server object for a session that does not exist yet; it is kept once `adopt` is called. */
  async create(info: SessionInfo): Promise<Host> {
    const { server, standalone, store, logger, signals, validateEffects } = this.#services
    const services = { standalone: standalone(info.sessionId), store, logger, signals, validateEffects }
    return Host.connect(await server(info), info, services)
  }

  async adopt(sessionId: string, host: Host) {
    const hosted = this.#hold(sessionId, host, this.#watch(sessionId, { host }))
    this.#hosted.set(sessionId, hosted)
    await hosted
  }

  /** As `get`, if nothing has to be done for it. */
  ready(sessionId: string, version: number): Host | undefined {
    const hosted = this.#ready.get(sessionId)
    if (this.#closed || !hosted?.standing || hosted.host.version < version) return undefined
    hosted.host.usedAt = Date.now()
    return hosted.host
  }

  /**
   * The server object for the principal's session, if it says of the tool that it only reads. It is here already, or is
   * made meanwhile where that is worth waiting for: there is a tool of this name that does.
   */
  reading(
    sessionId: string,
    principal: string | undefined,
    tool: string,
    extra: MessageExtra,
  ): MaybePromise<Host | undefined> {
    const reading = () => {
      const host = this.ready(sessionId, 0)
      return host && host.principal === principal && this.noteReading(host, tool) ? host : undefined
    }
    if (this.#hosted.has(sessionId) || !this.#readers.has(tool)) return reading()
    const prepared = this.prepare(sessionId, principal, extra).catch(() => undefined)
    const late = sleep(PREPARED_WITHIN_MS, undefined, { ref: false })
    return Promise.race([prepared, late]).then(reading)
  }

  /** Whether the server object says of the tool that it only reads; remembered for other sessions. */
  noteReading(host: Host, tool: string): boolean {
    if (!host.onlyReads(tool)) return false
    if (this.#readers.size < MOST_NAMES) this.#readers.add(tool)
    return true
  }

  /** The session's server object, with everything up to `version` of the session's state. */
  async get(sessionId: string, version: number, extra: MessageExtra): Promise<Host> {
    if (this.#closed) throw new NodeLeavingError()
    const existing = this.#hosted.get(sessionId)
    const hosted = await (existing ?? this.#rebuild(sessionId, version, extra))
    if (this.#closed) throw new NodeLeavingError()
    hosted.host.usedAt = Date.now()
    if (hosted.host.version < version) {
      hosted.synced = hosted.synced
        .catch(() => undefined)
        .then(() => this.#sync(sessionId, hosted.host, version, extra))
      await hosted.host.isWanted(hosted.synced)
    }
    return hosted.host
  }

  /** Begins to rebuild the session's server object, if the session is the principal's: it is about to be asked for. */
  async prepare(sessionId: string, principal: string | undefined, extra: MessageExtra) {
    if (this.#closed || this.#hosted.has(sessionId)) return
    const session = await this.#services.store.readSession(sessionId)
    // Making a server object may take longer than all the rest: first goes out what the store is asked in this turn.
    await nextTurn()
    if (session?.principal !== principal || this.#closed || this.#hosted.has(sessionId)) return
    if (session) await this.#rebuild(sessionId, session.version, extra, session)
  }

  async drop(sessionId: string) {
    const hosted = this.#ready.get(sessionId)
    if (!hosted) return
    this.#hosted.delete(sessionId)
    this.#ready.delete(sessionId)
    hosted.unwatch()
    await hosted.host.close()
  }

  /** Lets go of server objects that nothing has used for `hostIdle`. */
  evictIdle() {
    const before = Date.now() - this.#services.hostIdle
    for (const [sessionId, { host }] of this.#ready) {
      if (!host.busy && !this.#listening.has(sessionId) && host.usedAt <= before) void this.drop(sessionId)
    }
  }

  async close() {
    this.#closed = true
    await Promise.all([...this.#ready.keys()].map((sessionId) => this.drop(sessionId)))
  }

  #rebuild(sessionId: string, version: number, extra: MessageExtra, known?: StoredSession): Promise<Hosted> {
    this.makeRoom()
    const build = () => this.#build(sessionId, version, extra, known)
    const hosted = this.#services.signals.rebuild?.(sessionId, build) ?? build()
    this.#hosted.set(sessionId, hosted)
    hosted.catch(() => {
      if (this.#hosted.get(sessionId) === hosted) this.#hosted.delete(sessionId)
    })
    return hosted
  }

  async #build(
    sessionId: string,
    upTo: number,
    extra: MessageExtra,
    known: StoredSession | undefined,
  ): Promise<Hosted> {
    const session = known ?? (await this.#services.store.readSession(sessionId))
    if (!session) throw new SessionGoneError()
    // The subscription is made while the server object is.
    const building: Watched = {}
    const watch = this.#watch(sessionId, building)
    try {
      const info = { sessionId, principal: session.principal, clientInfo: clientInfoOf(session.state) }
      building.host = await this.create(info)
      await building.host.replay(
        session.state.filter(({ version }) => version <= upTo),
        extra,
      )
      if (building.gone) throw new SessionGoneError()
    } catch (error) {
      watch.end()
      await building.host?.close()
      throw error
    }
    const { host } = building
    this.#services.logger.debug({ session: shortId(sessionId), version: host.version }, 'rebuilt a session')
    return this.#hold(sessionId, host, watch)
  }

  #watch(sessionId: string, watched: Watched): Watch {
    return this.#services.watcher.watch(sessionId, CANCELLED, (signal) => {
      if (signal.topic === CANCELLED) watched.host?.cancelDeferred(signal.value)
      if (signal.topic !== 'deleted') return
      watched.gone = true
      void this.drop(sessionId)
    })
  }

  async #hold(sessionId: string, host: Host, watch: Watch): Promise<Hosted> {
    const hosted = { host, synced: Promise.resolve(), unwatch: watch.end, standing: watch.standing }
    this.#ready.set(sessionId, hosted)
    try {
      await host.isWanted(watch.active)
      hosted.standing = true
      host.clientListens(this.#listening.has(sessionId))
    } catch (error) {
      await this.drop(sessionId)
      throw error
    }
    return hosted
  }

  async #sync(sessionId: string, host: Host, version: number, extra: MessageExtra) {
    if (host.version >= version) return
    await host.replay(await this.#services.store.readState(sessionId, host.version), extra)
  }
}

function clientInfoOf(state: readonly StateEntry[]): SessionInfo['clientInfo'] {
  const initialize = state.find(({ version }) => version === 1)
  if (!initialize) return undefined
  const { params } = JSON.parse(initialize.data) as JsonRpcRequest
  return params?.['clientInfo'] as SessionInfo['clientInfo']
}
