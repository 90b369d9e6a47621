import { setImmediate as nextTurn } from 'node:timers/promises'
import type { MaybePromise } from '../context/maybe-promise.js'
import { DurableError, NodeLeavingError } from '../errors.js'
import type { JsonRpcMessage, JsonRpcRequest } from '../json-rpc.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { Signals } from '../signals/signals.js'
import type { StateEntry, Store, StoredSession } from '../store/store.js'
import type { Watcher } from '../store/watcher.js'
import { Host } from './host.js'
import type { StateMessage } from './host.js'
import { Listening } from './listening.js'
import { MakingAhead } from './made-ahead.js'
import type { MadeAhead } from './made-ahead.js'
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
  /** Whether requests come beside one another. */
  isBusy: () => boolean
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

/** A call waits no longer for its server object before it is recorded. */
const PREPARED_WITHIN_MS = 100
/** How many names of tools are remembered. */
const MOST_NAMES = 1000

type Hosted = {
  host: Host
  synced: Promise<void>
  listening: Listening
  /** That it listens is waited for, or was. */
  listens?: Promise<void>
  standing: boolean
  /** When it had been used last, the last time that room was looked for. */
  lookedAt: number
}
/** What is there already of what is needed: the session as it was read, and perhaps a server object for it. */
type Prepared = { session: StoredSession; ahead: MadeAhead | undefined; hurry: boolean }

/** The server objects on this node, at most one per session: made when needed, kept in step with the store, let go when idle. */
export class Hosts {
  readonly #services: HostServices
  readonly #hosted = new Map<string, Promise<Hosted>>()
  /** Sessions that are read to be hosted. */
  readonly #preparing = new Map<string, Promise<void>>()
  readonly #making: MakingAhead
  #closed = false
  readonly #ready = new Map<string, Hosted>()
  /** How many standalone streams the client of a session has here. */
  readonly #listening = new Map<string, number>()
  /** Tools that only read, by some server object that was here. */
  readonly #readers = new Set<string>()

  constructor(services: HostServices) {
    this.#services = services
    this.#making = new MakingAhead(services.server)
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
  async create(info: SessionInfo, ahead?: MadeAhead): Promise<Host> {
    const { server, standalone, store, logger, signals, validateEffects } = this.#services
    const services = { standalone: standalone(info.sessionId), store, logger, signals, validateEffects }
    const made = (await ahead?.take(info)) ?? (await server(info))
    return Host.connect(made, info, services)
  }

  async adopt(sessionId: string, host: Host) {
    const hosted = this.#hold(sessionId, host, this.#listeningTo(sessionId))
    this.#hosted.set(sessionId, Promise.resolve(hosted))
    await this.#listen(sessionId, hosted)
  }

  /** As `get`, if nothing has to be done for it. */
  ready(sessionId: string, version: number): Host | undefined {
    const hosted = this.#ready.get(sessionId)
    if (this.#closed || !hosted?.standing || hosted.host.version < version) return undefined
    hosted.host.usedAt = performance.now()
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
      const host = this.#closed ? undefined : this.peek(sessionId)
      return host && host.principal === principal && this.noteReading(host, tool) ? host : undefined
    }
    if (this.#hosted.has(sessionId) || !this.#readers.has(tool)) return reading()
    const prepared = this.prepare(sessionId, principal, extra, { hurry: true }).catch(() => undefined)
    return within(prepared, PREPARED_WITHIN_MS).then(reading)
  }

  /** The call that a server object was made in a hurry for has been answered: now it listens as well. */
  answered(sessionId: string) {
    const hosted = this.#ready.get(sessionId)
    if (hosted && !hosted.listens) setImmediate(() => this.#listenSoon(sessionId, hosted))
  }

  /** Whether the server object says of the tool that it only reads; remembered for other sessions. */
  noteReading(host: Host, tool: string): boolean {
    if (!host.onlyReads(tool)) return false
    if (this.#readers.size < MOST_NAMES) this.#readers.add(tool)
    return true
  }

  /** The session's server object, with everything up to `version` of the session's state. */
  async get(sessionId: string, version: number, extra: MessageExtra): Promise<Host> {
    if (!this.#hosted.has(sessionId)) await this.#preparing.get(sessionId)?.catch(() => undefined)
    if (this.#closed) throw new NodeLeavingError()
    const existing = this.#hosted.get(sessionId)
    const hosted = await (existing ?? this.#rebuild(sessionId, version, extra))
    await this.#listen(sessionId, hosted)
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

  /**
   * Begins to rebuild the session's server object, if the session is the principal's: it is about to be asked for.
   * `hurry`: by what need not listen to other nodes.
   */
  async prepare(
    sessionId: string,
    principal: string | undefined,
    extra: MessageExtra,
    { hurry = false } = {},
  ) {
    if (this.#closed || this.#hosted.has(sessionId) || this.#preparing.has(sessionId)) return
    const preparing = this.#prepare(sessionId, principal, extra, hurry)
    this.#preparing.set(sessionId, preparing)
    await preparing.finally(() => this.#preparing.delete(sessionId))
  }

  async #prepare(sessionId: string, principal: string | undefined, extra: MessageExtra, hurry: boolean) {
    const reading = this.#services.store.readSession(sessionId)
    reading.catch(() => undefined)
    // Making a server object may take longer than all the rest: first goes out what the store is asked meanwhile.
    await (this.#services.isBusy() ? nextTurn() : nextTick())
    const ahead = this.#hasRoom && !this.#closed ? this.#making.begin() : undefined
    try {
      const session = await reading
      if (!session || session.principal !== principal) return
      this.#making.found()
      if (this.#closed || this.#hosted.has(sessionId)) return
      await this.#rebuild(sessionId, session.version, extra, { session, ahead, hurry })
    } finally {
      ahead?.discard()
    }
  }

  async drop(sessionId: string) {
    const hosted = this.#ready.get(sessionId)
    if (!hosted) return
    this.#hosted.delete(sessionId)
    this.#ready.delete(sessionId)
    hosted.listening.end()
    await hosted.host.close()
  }

  /** Lets go of server objects that nothing has used for `hostIdle`. */
  evictIdle() {
    const before = performance.now() - this.#services.hostIdle
    for (const [sessionId, { host }] of this.#ready) {
      if (!host.busy && !this.#listening.has(sessionId) && host.usedAt <= before) void this.drop(sessionId)
    }
  }

  async close() {
    this.#closed = true
    await Promise.all([...this.#ready.keys()].map((sessionId) => this.drop(sessionId)))
  }

  #rebuild(sessionId: string, version: number, extra: MessageExtra, prepared?: Prepared): Promise<Hosted> {
    this.makeRoom()
    const build = () => this.#build(sessionId, version, extra, prepared)
    const sinceMs = prepared?.ahead?.sinceMs ?? 0
    const hosted = this.#services.signals.rebuild?.(sessionId, build, sinceMs) ?? build()
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
    prepared: Prepared | undefined,
  ): Promise<Hosted> {
    const session = prepared?.session ?? (await this.#services.store.readSession(sessionId))
    if (!session) throw new SessionGoneError()
    const listening = this.#listeningTo(sessionId)
    // The subscription is made while the server object is. What fails here fails again where it is waited for.
    if (!prepared?.hurry) listening.begin().catch(() => undefined)
    let host: Host | undefined
    try {
      const messages = session.state.map(parsed)
      const info = { sessionId, principal: session.principal, clientInfo: clientInfoOf(messages) }
      host = await this.create(info, prepared?.ahead)
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
    const hosted = this.#hold(sessionId, host, listening)
    if (!prepared?.hurry) this.#listenSoon(sessionId, hosted)
    return hosted
  }

  #listeningTo(sessionId: string) {
    return new Listening(this.#services.watcher, sessionId, () => void this.drop(sessionId))
  }

  #hold(sessionId: string, host: Host, listening: Listening): Hosted {
    listening.host = host
    const hosted = { host, synced: Promise.resolve(), listening, standing: false, lookedAt: host.usedAt }
    this.#ready.set(sessionId, hosted)
    return hosted
  }

  /** What fails here, fails where it is waited for. */
  #listenSoon(sessionId: string, hosted: Hosted) {
    this.#listen(sessionId, hosted).catch(() => undefined)
  }

  /** Rejects if the store can't be listened to; the server object is let go then. */
  #listen(sessionId: string, hosted: Hosted): Promise<void> {
    const listen = async () => {
      try {
        await hosted.host.isWanted(hosted.listening.begin())
        hosted.standing = true
        hosted.host.clientListens(this.#listening.has(sessionId))
      } catch (error) {
        await this.drop(sessionId)
        throw error
      }
    }
    return (hosted.listens ??= listen())
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

const nextTick = () => new Promise<void>((resolve) => process.nextTick(resolve))

async function within(work: Promise<unknown>, ms: number) {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => (timer = setTimeout(resolve, ms).unref()))
  await Promise.race([work, late])
  clearTimeout(timer)
}
