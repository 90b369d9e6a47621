import { DurableError, NodeLeavingError } from '../errors.js'
import type { JsonRpcMessage, JsonRpcRequest } from '../json-rpc.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { Signals } from '../signals/signals.js'
import type { Admission, StateEntry, Store, StoredSession } from '../store/store.js'
import type { Watcher } from '../store/watcher.js'
import { endOfTurn } from '../turn.js'
import { freshServer } from './fresh-server.js'
import { Host } from './host.js'
import type { StateMessage } from './host.js'
import { Listening } from './listening.js'
import type { ServerFactory, SessionIdentity, SessionInfo } from './server-factory.js'
import type { Standalone } from './standalone.js'
import { StateReads } from './state-reads.js'
import type { MessageExtra } from './transport.js'

export type HostServices = {
  store: Store
  watcher: Watcher
  logger: Logger
  server: ServerFactory
  standalone: (sessionId: string) => Standalone
  signals: Signals
  validateEffects: boolean
  onServer: (name: string) => void
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

/** How far the state of a session has come: what a server object must have seen. */
export type Progress = Pick<Admission, 'version' | 'values'>

type Hosted = {
  host: Host
  sessionId: string
  synced: Promise<void>
  listening: Listening
  /** Rejects if the store can't be listened to; the server object is let go then. */
  listens: Promise<void>
  standing: boolean
  /** When it had been used last, the last time that room was looked for. */
  lookedAt: number
}
/** The server objects on this node, at most one per session: made when needed, kept in step with the store, let go when idle. */
export class Hosts {
  readonly #services: HostServices
  readonly #hosted = new Map<string, Promise<Hosted>>()
  /** Sessions that are read to be hosted. */
  readonly #preparing = new Map<string, Promise<void>>()
  #closed = false
  readonly #ready = new Map<string, Hosted>()
  /** Out of date: each still runs what it was running, and nothing more. */
  readonly #retired = new Set<Hosted>()
  readonly #saidLost = new Set<string>()
  /** How many standalone streams the client of a session has here. */
  readonly #listening = new Map<string, number>()

  constructor(services: HostServices) {
    this.#services = services
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

  /** Before room is made: what has just answered, or is about to leave, is not at work in the next turn. */
  async settled() {
    if (!this.#hasRoom) await endOfTurn()
  }

  get #hasRoom() {
    return this.#hosted.size < this.#services.maxHosts
  }

  /**
   * Before a server object is made: throws if there may be no more. One goes that was not used since it was last looked
   * at; those that were get behind the others, so that nobody need look at all of them each time. If all were, it is the
   * one that was not for longest.
   */
  makeRoom() {
    if (this.#hasRoom) return
    let oldest: { sessionId: string; usedAt: number } | undefined
    let left = this.#ready.size
    for (const [sessionId, hosted] of this.#ready) {
      // From here on they come for the second time.
      if (left-- === 0) break
      const { host, lookedAt } = hosted
      const { usedAt } = host
      if (!host.busy && usedAt <= lookedAt) return void this.drop(sessionId)
      this.#ready.delete(sessionId)
      this.#ready.set(sessionId, hosted)
      hosted.lookedAt = usedAt
      if (!host.busy && !(oldest && oldest.usedAt <= usedAt)) oldest = { sessionId, usedAt }
    }
    if (!oldest) throw new HostsBusyError()
    void this.drop(oldest.sessionId)
  }

  /** A server object for a session that does not exist yet; it is kept once `adopt` is called. */
  async create(identity: SessionIdentity, values = 0): Promise<Host> {
    const { server, standalone, ...rest } = this.#services
    const { sessionId } = identity
    const reads = new StateReads(rest.store, sessionId, values)
    const made = await freshServer(server, { ...identity, state: reads.state })
    reads.end()
    const services = { ...rest, standalone: standalone(sessionId), reads, saidLost: this.#saidLost }
    return Host.connect(made, sessionId, services)
  }

  async adopt(sessionId: string, host: Host) {
    const hosted = this.#hold(sessionId, host, this.#listeningTo(sessionId))
    this.#hosted.set(sessionId, Promise.resolve(hosted))
    await hosted.listens
  }

  /** As `get`, if nothing has to be done for it. */
  ready(sessionId: string, { version, values }: Progress): Host | undefined {
    const hosted = this.#ready.get(sessionId)
    if (this.#closed || !hosted?.standing || hosted.host.version < version) return undefined
    if (hosted.host.reads.mayDiffer(values)) return undefined
    hosted.host.usedAt = performance.now()
    return hosted.host
  }

  /** The session's server object, with everything up to there of the session's state. */
  async get(sessionId: string, progress: Progress, extra: MessageExtra): Promise<Host> {
    if (!this.#hosted.has(sessionId)) await this.#preparing.get(sessionId)?.catch(() => undefined)
    if (!this.#hosted.has(sessionId)) await this.settled()
    if (this.#closed) throw new NodeLeavingError()
    const { version, values } = progress
    const existing = this.#hosted.get(sessionId)
    const hosted = await (existing ?? this.#rebuild(sessionId, version, extra))
    await hosted.listens
    if (hosted.host.reads.mayDiffer(values) && (await hosted.host.reads.differ(values))) {
      this.#retire(hosted)
      return this.get(sessionId, progress, extra)
    }
    if (this.#closed) throw new NodeLeavingError()
    hosted.host.usedAt = performance.now()
    if (hosted.host.version < version) {
      hosted.synced = hosted.synced
        .catch(() => undefined)
        .then(() => this.#sync(sessionId, hosted.host, version, extra))
      await hosted.host.isWanted(hosted.synced)
    }
    return hosted.host
  }

  /** Another one takes its place. It is closed when what it runs has ended. */
  #retire(hosted: Hosted) {
    const { sessionId } = hosted
    if (this.#ready.get(sessionId) !== hosted) return
    this.#hosted.delete(sessionId)
    this.#ready.delete(sessionId)
    this.#retired.add(hosted)
    void this.#closeRetired()
  }

  #closeRetired(isDue = ({ host }: Hosted) => !host.busy) {
    const due = [...this.#retired].filter(isDue)
    return Promise.all(due.map((hosted) => this.#close(hosted)))
  }

  #close(hosted: Hosted) {
    this.#retired.delete(hosted)
    hosted.listening.end()
    return hosted.host.close()
  }

  /** Begins to rebuild the session's server object, if the session is the principal's: it is about to be asked for. */
  async prepare(sessionId: string, principal: string | undefined, extra: MessageExtra) {
    if (this.#closed || this.#hosted.has(sessionId) || this.#preparing.has(sessionId)) return
    const preparing = this.#prepare(sessionId, principal, extra)
    this.#preparing.set(sessionId, preparing)
    await preparing.finally(() => this.#preparing.delete(sessionId))
  }

  async #prepare(sessionId: string, principal: string | undefined, extra: MessageExtra) {
    const session = await this.#services.store.readSession(sessionId)
    if (!session || session.principal !== principal) return
    await this.settled()
    if (this.#closed || this.#hosted.has(sessionId)) return
    await this.#rebuild(sessionId, session.version, extra, session)
  }

  async drop(sessionId: string) {
    const hosted = this.#ready.get(sessionId)
    const retired = this.#closeRetired((one) => one.sessionId === sessionId)
    if (hosted) {
      this.#hosted.delete(sessionId)
      this.#ready.delete(sessionId)
      await this.#close(hosted)
    }
    await retired
  }

  /** Lets go of server objects that nothing has used for `hostIdle`. */
  evictIdle() {
    void this.#closeRetired()
    const before = performance.now() - this.#services.hostIdle
    for (const [sessionId, { host }] of this.#ready) {
      if (!host.busy && !this.#listening.has(sessionId) && host.usedAt <= before) void this.drop(sessionId)
    }
  }

  async close() {
    this.#closed = true
    await Promise.all([...this.#ready.keys()].map((sessionId) => this.drop(sessionId)))
    await this.#closeRetired(() => true)
  }

  #rebuild(sessionId: string, version: number, extra: MessageExtra, read?: StoredSession): Promise<Hosted> {
    this.makeRoom()
    const build = () => this.#build(sessionId, version, extra, read)
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
    read: StoredSession | undefined,
  ): Promise<Hosted> {
    const session = read ?? (await this.#services.store.readSession(sessionId))
    if (!session) throw new SessionGoneError()
    // The subscription is made while the server object is.
    const listening = this.#listeningTo(sessionId)
    let host: Host | undefined
    try {
      const messages = session.state.map(parsed)
      const info = { sessionId, principal: session.principal, clientInfo: clientInfoOf(messages) }
      host = await this.create(info, session.values)
      listening.host = host
      await host.replay(
        messages.filter(({ version }) => version <= upTo),
        extra,
      )
      if (listening.gone) throw new SessionGoneError()
    } catch (error) {
      listening.end()
      await host?.close()
      throw error
    }
    this.#services.logger.debug({ session: shortId(sessionId), version: host.version }, 'rebuilt a session')
    return this.#hold(sessionId, host, listening)
  }

  #listeningTo(sessionId: string) {
    return new Listening(this.#services.watcher, sessionId, () => void this.drop(sessionId))
  }

  #hold(sessionId: string, host: Host, listening: Listening): Hosted {
    listening.host = host
    const listen = async () => {
      try {
        await host.isWanted(listening.active)
        hosted.standing = true
        host.clientListens(this.#listening.has(sessionId))
      } catch (error) {
        await this.drop(sessionId)
        throw error
      }
    }
    const listens = listen()
    // What fails here, fails where it is waited for.
    listens.catch(() => undefined)
    const hosted: Hosted = {
      host,
      sessionId,
      synced: Promise.resolve(),
      listening,
      listens,
      standing: false,
      lookedAt: host.usedAt,
    }
    this.#ready.set(sessionId, hosted)
    return hosted
  }

  async #sync(sessionId: string, host: Host, version: number, extra: MessageExtra) {
    if (host.version >= version) return
    const entries = await this.#services.store.readState(sessionId, host.version)
    await host.replay(entries.map(parsed), extra)
  }
}

const parsed = ({ version, data }: StateEntry): StateMessage => ({
  version,
  message: JSON.parse(data) as JsonRpcMessage,
})

function clientInfoOf(state: readonly StateMessage[]): SessionInfo['clientInfo'] {
  const initialize = state.find(({ version }) => version === 1)?.message as JsonRpcRequest | undefined
  return initialize?.params?.['clientInfo'] as SessionInfo['clientInfo']
}
