import { NodeLeavingError } from '../errors.js'
import type { JsonRpcMessage, JsonRpcRequest } from '../json-rpc.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { Settings } from '../settings.js'
import type { Signals } from '../signals/signals.js'
import type { Admission, StateEntry, Store, StoredSession } from '../store/store.js'
import type { Watcher } from '../store/watcher.js'
import { endOfTurn } from '../turn.js'
import { freshServer } from './fresh-server.js'
import { SessionServer } from './session-server.js'
import type { StateMessage } from './session-server.js'
import { Listening } from './listening.js'
import { ServersBusyError, SessionGoneError } from './session-errors.js'
import type { CallerTasks } from '../context/caller-tasks.js'
import type { ServerNames } from './server-names.js'
import type { ServerFactory, SessionIdentity, SessionInfo } from './server-factory.js'
import type { Standalone } from './standalone.js'
import { putState } from './state.js'
import type { StateChange } from './state.js'
import { StateReads } from './state-reads.js'
import type { MessageExtra } from './transport.js'

export type SessionServerServices = {
  store: Store
  watcher: Watcher
  logger: Logger
  server: ServerFactory
  standalone: (sessionId: string) => Standalone
  signals: Signals
  names: ServerNames
  settings: Settings
  tasks: CallerTasks
}

/** How far the state of a session has come: what a server object must have seen. */
export type Progress = Pick<Admission, 'version' | 'values'>

/**
 * What differs where a server object belongs to no session. `stateScope`: where the state is of who asks; `undefined`: that is not known.
 * `make`: in place of the factory. `tell`: what the factory is told.
 */
export type Alone = Pick<
  Parameters<typeof SessionServer.connect>[2],
  'standalone' | 'putState' | 'onIdle' | 'onClosed' | 'onRegistered' | 'paramHeaders'
> & {
  stateScope: string | undefined
  make?: ServerFactory | undefined
  tell: (session: SessionInfo) => SessionInfo
}

const NOBODY_S_STATE =
  'a factory has read `session.state` for a request without a session, of which it is not known who sends it: each value is undefined. ' +
  'Set `principal` to what tells your users apart'

type Held = {
  server: SessionServer
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
export class SessionServers {
  readonly #services: SessionServerServices
  readonly #held = new Map<string, Promise<Held>>()
  /** Sessions that are read to be held. */
  readonly #preparing = new Map<string, Promise<void>>()
  #closed = false
  readonly #ready = new Map<string, Held>()
  /** Out of date: each still runs what it was running, and nothing more. */
  readonly #retired = new Set<Held>()
  readonly #saidLost = new Set<string>()
  #saidNobody = false
  /** How many standalone streams the client of a session has here. */
  readonly #listening = new Map<string, number>()

  constructor(services: SessionServerServices) {
    this.#services = services
  }

  /** How many there are. */
  get size() {
    return this.#ready.size
  }

  peek(sessionId: string): SessionServer | undefined {
    return this.#ready.get(sessionId)?.server
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
    return this.#held.size < this.#services.settings.maxServers
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
    for (const [sessionId, held] of this.#ready) {
      // From here on they come for the second time.
      if (left-- === 0) break
      const { server, lookedAt } = held
      const { usedAt } = server
      if (!server.busy && usedAt <= lookedAt) return void this.drop(sessionId)
      this.#ready.delete(sessionId)
      this.#ready.set(sessionId, held)
      held.lookedAt = usedAt
      if (!server.busy && !(oldest && oldest.usedAt <= usedAt)) oldest = { sessionId, usedAt }
    }
    if (!oldest) throw new ServersBusyError()
    void this.drop(oldest.sessionId)
  }

  /** A server object for a session that does not exist yet; it is kept once `adopt` is called. */
  async create(identity: SessionIdentity, values = 0, alone?: Alone): Promise<SessionServer> {
    const { server, standalone, settings, ...rest } = this.#services
    const { sessionId } = identity
    const stateScope = alone ? alone.stateScope : sessionId
    const onRead = () => alone && this.#isRead(alone.stateScope, identity.principal)
    const reads = new StateReads(rest.store, stateScope, values, onRead)
    const session = { ...identity, state: reads.state }
    const made = await freshServer(alone?.make ?? server, alone?.tell(session) ?? session)
    reads.end()
    const services = {
      ...rest,
      validateEffects: settings.validateEffects,
      limits: settings,
      standalone: standalone(sessionId),
      putState: (entry: StateChange) => putState(rest.store, sessionId, entry, settings),
      reads,
      saidLost: this.#saidLost,
      onClosed: (closed: SessionServer) => this.#closedByItself(sessionId, closed),
      ...alone,
    }
    return SessionServer.connect(made, alone ? undefined : sessionId, services)
  }

  #closedByItself(sessionId: string, server: SessionServer) {
    const held = this.#ready.get(sessionId)
    if (held?.server === server) this.#retire(held)
  }

  /** A factory reads the state of who asks without a session; that is a use of it. */
  #isRead(stateScope: string | undefined, principal: string | undefined) {
    if (stateScope !== undefined)
      return void this.#services.store.useScope(stateScope, principal).catch(() => undefined)
    if (this.#saidNobody) return
    this.#saidNobody = true
    this.#services.logger.warn({}, NOBODY_S_STATE)
  }

  async adopt(sessionId: string, server: SessionServer) {
    const held = this.#hold(sessionId, server, this.#listeningTo(sessionId))
    this.#held.set(sessionId, Promise.resolve(held))
    await held.listens
  }

  /** As `get`, if nothing has to be done for it. */
  ready(sessionId: string, { version, values }: Progress): SessionServer | undefined {
    const held = this.#ready.get(sessionId)
    if (this.#closed || !held?.standing || held.server.version < version) return undefined
    if (held.server.reads.mayDiffer(values)) return undefined
    held.server.usedAt = performance.now()
    return held.server
  }

  /** The session's server object, with everything up to there of the session's state. */
  async get(sessionId: string, progress: Progress, extra: MessageExtra): Promise<SessionServer> {
    if (!this.#held.has(sessionId)) await this.#preparing.get(sessionId)?.catch(() => undefined)
    if (!this.#held.has(sessionId)) await this.settled()
    if (this.#closed) throw new NodeLeavingError()
    const { version, values } = progress
    const existing = this.#held.get(sessionId)
    const held = await (existing ?? this.#rebuild(sessionId, version, extra))
    await held.listens
    const { server } = held
    // It is not to make room meanwhile.
    if (server.reads.mayDiffer(values) && (await server.isWanted(server.reads.differ(values)))) {
      this.#retire(held)
      return this.get(sessionId, progress, extra)
    }
    if (this.#closed) throw new NodeLeavingError()
    held.server.usedAt = performance.now()
    if (held.server.version < version) {
      held.synced = held.synced
        .catch(() => undefined)
        .then(() => this.#sync(sessionId, held.server, version, extra))
      await held.server.isWanted(held.synced)
    }
    return held.server
  }

  /** Another one takes its place. It is closed when what it runs has ended. */
  #retire(held: Held) {
    const { sessionId } = held
    if (this.#ready.get(sessionId) !== held) return
    this.#held.delete(sessionId)
    this.#ready.delete(sessionId)
    this.#retired.add(held)
    void this.#closeRetired()
  }

  #closeRetired(isDue = ({ server }: Held) => !server.busy) {
    const due = [...this.#retired].filter(isDue)
    return Promise.all(due.map((held) => this.#close(held)))
  }

  #close(held: Held) {
    this.#retired.delete(held)
    held.listening.end()
    return held.server.close()
  }

  /** Begins to rebuild the session's server object, if the session is the principal's: it is about to be asked for. */
  async prepare(sessionId: string, principal: string | undefined, extra: MessageExtra) {
    if (this.#closed || this.#held.has(sessionId) || this.#preparing.has(sessionId)) return
    const preparing = this.#prepare(sessionId, principal, extra)
    this.#preparing.set(sessionId, preparing)
    await preparing.finally(() => this.#preparing.delete(sessionId))
  }

  async #prepare(sessionId: string, principal: string | undefined, extra: MessageExtra) {
    const session = await this.#services.store.readSession(sessionId)
    if (!session || session.principal !== principal) return
    await this.settled()
    if (this.#closed || this.#held.has(sessionId)) return
    await this.#rebuild(sessionId, session.version, extra, session)
  }

  async drop(sessionId: string) {
    const held = this.#ready.get(sessionId)
    const retired = this.#closeRetired((one) => one.sessionId === sessionId)
    if (held) {
      this.#held.delete(sessionId)
      this.#ready.delete(sessionId)
      await this.#close(held)
    }
    await retired
  }

  /** Lets go of server objects that nothing has used for `serverIdleMs`, or of whose questions nobody is left to answer. */
  evictIdle() {
    void this.#closeRetired()
    const { serverIdleMs, sessionTtlMs } = this.#services.settings
    const now = performance.now()
    for (const [sessionId, { server }] of this.#ready) {
      if (server.isAtWork || this.#listening.has(sessionId)) continue
      if (now - server.usedAt >= (server.busy ? sessionTtlMs : serverIdleMs)) void this.drop(sessionId)
    }
  }

  async close() {
    this.#closed = true
    await Promise.all([...this.#ready.keys()].map((sessionId) => this.drop(sessionId)))
    await this.#closeRetired(() => true)
  }

  #rebuild(sessionId: string, version: number, extra: MessageExtra, read?: StoredSession): Promise<Held> {
    this.makeRoom()
    const build = () => this.#build(sessionId, version, extra, read)
    const held = this.#services.signals.rebuild?.(sessionId, build) ?? build()
    this.#held.set(sessionId, held)
    held.catch(() => {
      if (this.#held.get(sessionId) === held) this.#held.delete(sessionId)
    })
    return held
  }

  async #build(
    sessionId: string,
    upTo: number,
    extra: MessageExtra,
    read: StoredSession | undefined,
  ): Promise<Held> {
    const session = read ?? (await this.#services.store.readSession(sessionId))
    if (!session) throw new SessionGoneError()
    // The subscription is made while the server object is.
    const listening = this.#listeningTo(sessionId)
    let server: SessionServer | undefined
    try {
      const messages = session.state.map(parsed)
      const info = { sessionId, principal: session.principal, clientInfo: clientInfoOf(messages) }
      server = await this.create(info, session.values)
      listening.server = server
      server.renew(extra)
      await server.replay(
        messages.filter(({ version }) => version <= upTo),
        extra,
        session.server,
      )
      if (listening.gone) throw new SessionGoneError()
    } catch (error) {
      listening.end()
      await server?.close()
      throw error
    }
    this.#services.logger.debug({ session: shortId(sessionId), version: server.version }, 'rebuilt a session')
    return this.#hold(sessionId, server, listening)
  }

  #listeningTo(sessionId: string) {
    return new Listening(this.#services.watcher, sessionId, () => void this.drop(sessionId))
  }

  #hold(sessionId: string, server: SessionServer, listening: Listening): Held {
    listening.server = server
    const listen = async () => {
      try {
        await server.isWanted(listening.active)
        held.standing = true
        server.clientListens(this.#listening.has(sessionId))
      } catch (error) {
        await this.drop(sessionId)
        throw error
      }
    }
    const listens = listen()
    // What fails here, fails where it is waited for.
    listens.catch(() => undefined)
    const held: Held = {
      server,
      sessionId,
      synced: Promise.resolve(),
      listening,
      listens,
      standing: false,
      lookedAt: server.usedAt,
    }
    this.#ready.set(sessionId, held)
    return held
  }

  async #sync(sessionId: string, server: SessionServer, version: number, extra: MessageExtra) {
    if (server.version >= version) return
    const entries = await this.#services.store.readState(sessionId, server.version)
    await server.replay(entries.map(parsed), extra)
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
