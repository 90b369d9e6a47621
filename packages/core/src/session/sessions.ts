import { setTimeout as sleep } from 'node:timers/promises'
import { randomId, sessionIdOf } from '../ids.js'
import { encodeMessage } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { endingOf } from '../signals/events.js'
import type { CallEnding } from '../signals/events.js'
import type { CallerTasks } from '../context/caller-tasks.js'
import type { Signals } from '../signals/signals.js'
import type { Admission, Store } from '../store/store.js'
import type { Watcher } from '../store/watcher.js'
import { Changes } from './changes.js'
import { ClientMessages } from './client-messages.js'
import { OwnSessions } from './own-sessions.js'
import type { Asked } from './own-sessions.js'
import { unrecordable } from './recovery.js'
import { Runner } from './runner.js'
import type { RunnerServices } from './runner.js'
import type { ServerFactory, SessionInfo } from './server-factory.js'
import type { ServerNames } from './server-names.js'
import type { SessionServer } from './session-server.js'
import { SessionServers } from './session-servers.js'
import { SharedServers } from './shared-servers.js'
import type { Progress } from './session-servers.js'
import { StandaloneMessages } from './standalone.js'
import type { MessageExtra } from './transport.js'

export type SessionServices = RunnerServices & {
  watcher: Watcher
  signals: Signals
  server: ServerFactory
  names: ServerNames
  tasks: CallerTasks
}

export type Initialized =
  | { status: 'created'; mcpSessionId: string; response: JsonRpcResponse }
  | { status: 'refused'; response: JsonRpcResponse }
  | { status: 'limit' }

type Begun = Exclude<Initialized, { status: 'created' }> | { status: 'created'; response: JsonRpcResponse }

const NO_TASKS =
  'the server offers tasks of the SDK (`tasks/get` and so on), which do not cross nodes: a task ends with its node, and other nodes know of it only ' +
  'if they share its `taskStore`. A `durableTool` outlives its node'

/** How long a client waits for an upstream to be heard. */
const HEARD_WITHIN_MS = 1000

/** The sessions of this server: begun and ended by clients, on whichever node they arrive. */
export class Sessions {
  readonly servers: SessionServers
  readonly standalone: StandaloneMessages
  readonly shared: SharedServers
  readonly changes: Changes
  readonly runner: Runner
  readonly clientMessages: ClientMessages
  readonly own: OwnSessions
  readonly #services: SessionServices
  readonly #store: Store
  #saidTasks = false

  constructor(services: SessionServices) {
    const { store, watcher, logger, server, settings, signals } = services
    this.#services = services
    this.#store = store
    this.standalone = new StandaloneMessages(store, watcher, settings)
    this.servers = new SessionServers({
      store,
      watcher,
      logger,
      server,
      standalone: (sessionId) => this.standalone.of(sessionId),
      signals,
      settings,
      names: services.names,
      tasks: services.tasks,
    })
    this.changes = new Changes(store, settings.sessionTtlMs)
    this.shared = new SharedServers({
      callerOf: services.callerOf,
      make: (identity, alone) => this.servers.create(identity, 0, alone),
      proxy: services.proxy,
      changes: this.changes,
      logger,
      maxServers: settings.maxServers,
      serverIdleMs: settings.serverIdleMs,
    })
    this.runner = new Runner(services, this.servers, this.shared)
    this.clientMessages = new ClientMessages(services, this.servers)
    this.own = new OwnSessions({ ...services, servers: this.servers })
  }

  /** `undefined`: the caller has no such session of this server. */
  async admit(asked: Asked): Promise<Admission | undefined> {
    const { sessionId, principal, extra, isVouched = true } = asked
    const { sessionTtlMs } = this.#services.settings
    const admission = await this.own.actOn(asked, (server) =>
      this.#store.admit(sessionId, principal, sessionTtlMs, server),
    )
    if (admission && isVouched) this.servers.peek(sessionId)?.renew(extra)
    return admission
  }

  async initialize(
    request: JsonRpcRequest,
    principal: string | undefined,
    extra: MessageExtra,
  ): Promise<Initialized> {
    const mcpSessionId = randomId()
    const sessionId = sessionIdOf(mcpSessionId)
    const begin = async (): Promise<Initialized> => {
      const begun = await this.#begin(sessionId, request, principal, extra)
      return begun.status === 'created' ? { ...begun, mcpSessionId } : begun
    }
    const observe = this.#services.signals.call
    if (!observe) return begin()
    const about = { method: request.method, name: undefined, protocolVersion: undefined }
    const run = { sessionId, callId: randomId(), attempt: 1, ...about }
    const observed = observe(run, request, extra.request)
    let ending: CallEnding = { outcome: 'error', errorCode: undefined }
    try {
      const begun = await observed.run(begin)
      if (begun.status !== 'limit') ending = endingOf(begun.response)
      return begun
    } finally {
      observed.end({ ...run, ...ending })
    }
  }

  /** Lets a fresh server object answer `initialize`; the session exists once the store has it. */
  async #begin(
    sessionId: string,
    request: JsonRpcRequest,
    principal: string | undefined,
    extra: MessageExtra,
  ): Promise<Begun> {
    const clientInfo = request.params?.['clientInfo'] as SessionInfo['clientInfo']
    const { settings } = this.#services
    await this.servers.settled()
    this.servers.makeRoom()
    const server = await this.servers.create({ sessionId, clientInfo, principal })
    try {
      const response = await server.ask(request, extra)
      const problem = problemOf(response)
      if (problem) {
        this.#services.logger.error(
          { error: problem },
          'the server object answered initialize with what is no JSON',
        )
        return this.#refuse(server, { status: 'refused', response: unrecordable(request, problem) })
      }
      if (!('result' in response)) return this.#refuse(server, { status: 'refused', response })
      this.#warnOfTasks(response.result['capabilities'])
      const created = await this.#store.createSession(
        {
          id: sessionId,
          principal,
          protocolVersion: String(response.result['protocolVersion']),
          server: this.#services.names.isUsed ? server.name : undefined,
          state: { key: 'initialize', data: JSON.stringify(request) },
          ttlMs: settings.sessionTtlMs,
        },
        { maxPerPrincipal: settings.maxSessionsPerPrincipal, evict: settings.evictSessions },
      )
      if (created === 'limit') return this.#refuse(server, { status: 'limit' })
      server.saw(1)
      await server.settled()
      await this.servers.adopt(sessionId, server)
      const { protocolVersion } = response.result
      this.#services.signals.sessionBegun?.({ sessionId, protocolVersion: String(protocolVersion) })
      return { status: 'created', response }
    } catch (error) {
      void server.discard()
      throw error
    }
  }

  /** A server that is shared by all nodes keeps them for all; any other one loses them with its node. */
  #warnOfTasks(capabilities: unknown) {
    const hasTasks = typeof capabilities === 'object' && capabilities !== null && 'tasks' in capabilities
    if (!hasTasks || this.#saidTasks || this.#services.proxy?.shared) return
    this.#saidTasks = true
    this.#services.logger.warn({}, NO_TASKS)
  }

  async delete(asked: Asked): Promise<boolean> {
    const { sessionId, principal, extra } = asked
    const upstream = await this.#services.proxy?.linkedTo(sessionId)
    const deleted =
      (await this.own.actOn(
        asked,
        async (server) => (await this.#store.deleteSession(sessionId, principal, server)) || undefined,
      )) ?? false
    if (deleted) await this.servers.drop(sessionId)
    if (deleted) this.#services.signals.sessionEnded?.({ sessionId })
    if (deleted && upstream) void this.#services.proxy?.end(upstream, extra)
    return deleted
  }

  /**
   * The client has opened a standalone stream here. `heard`: an upstream has it too, so nothing is missed that is said
   * from now on; or that takes too long. `end` says that the client's is closed.
   */
  clientListens(
    sessionId: string,
    progress: Progress,
    extra: MessageExtra,
  ): { heard: Promise<unknown>; end: () => void } {
    if (!this.#services.proxy?.shared) return { heard: Promise.resolve(), end: () => undefined }
    const end = this.servers.listen(sessionId)
    const server = this.servers.get(sessionId, progress, extra)
    // A server object that can't be made now is made with the next request.
    const heard = server.then((made) => made.heard()).catch(() => undefined)
    return { heard: Promise.race([heard, sleep(HEARD_WITHIN_MS, undefined, { ref: false })]), end }
  }

  /** Notifies every session of this server; resolves to their number. */
  async broadcast(message: JsonRpcMessage): Promise<number> {
    return this.standalone.broadcast(message, await this.own.common())
  }

  #refuse<T>(server: SessionServer, outcome: T): T {
    void server.discard()
    return outcome
  }
}

function problemOf(response: JsonRpcResponse): Error | undefined {
  try {
    encodeMessage(response)
    return undefined
  } catch (error) {
    return error as Error
  }
}
