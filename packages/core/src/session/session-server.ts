import { setImmediate as nextTurn } from 'node:timers/promises'
import { Call } from '../call/call.js'
import type { CallServer } from '../call/call-server.js'
import type { DispatchTarget } from '../call/call.js'
import { DeferredCall } from '../call/deferred-call.js'
import type { HandlerKind } from '../call/record.js'
import { RequestLog } from '../call/request-log.js'
import { AsyncScope, followScopes, runInScope } from '../context/async-scope.js'
import type { Waiting } from '../context/call-log.js'
import type { CallerTasks } from '../context/caller-tasks.js'
import type { ContextStore } from '../store/context-store.js'
import type { ContextLimits } from '../context/limits.js'
import { currentLog, runInCall } from '../context/run-context.js'
import type { RunningCall } from '../context/run-context.js'
import { digest, randomId } from '../ids.js'
import { LazyAbort } from '../lazy-abort.js'
import { isRequest, isResponse } from '../json-rpc.js'
import type { TaskMode } from '../context/durable-handlers.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import type { Logger } from '../logger.js'
import type { Signals } from '../signals/signals.js'
import { REFUSED_FOR_MS, whileStoreFails } from '../store/retry.js'
import { isAlone } from '../protocol.js'
import { clientOf, ClientView } from './client-view.js'
import { OutgoingMessages } from './outgoing.js'
import type { OutgoingServices } from './outgoing.js'
import { OwnRequests } from './own-requests.js'
import { ParamHeaders } from './param-headers.js'
import type { MirroredParams } from './param-headers.js'
import { Questions } from './questions.js'
import { isOfHandler } from './recovery.js'
import type { RecoveredTool } from './recovery.js'
import { changeMessage, changeOf, Registered } from './registered.js'
import type { PlainTask, RegistrationChange } from './registered.js'
import { RunningRequests } from './running-requests.js'
import type { Dispatch } from './running-requests.js'
import { isProxy } from './server-factory.js'
import type { ProxyObject, ServerObject } from './server-factory.js'
import { stateChange } from './state.js'
import type { StateChange } from './state.js'
import type { TasksOption } from './task-mode.js'
import type { StateReads } from './state-reads.js'
import { serverNameIn } from './server-names.js'
import type { ServerNames } from './server-names.js'
import {
  OtherServerError,
  ServerClosedError,
  ServerRefusedError,
  ServerUnknownError,
} from './session-errors.js'
import { ServerTransport } from './transport.js'
import type { CallKeeper, DispatchExtra, MessageExtra } from './transport.js'
import { hearUnsent } from './unsent-responses.js'
import { validated } from './validation.js'

/** Progress of the client that waits to be handed on. */
const MOST_RECEIVED = 100

const NOTHING_MIRRORED: MirroredParams = []

const NOT_KEPT = 'what a call has changed in the tools, prompts or resources of its session is not kept'

/** A message of the client that is part of the session's state. */
export type StateMessage = { version: number; message: JsonRpcMessage }

export type SessionServerServices = Omit<OutgoingServices, 'keep'> & {
  /** Resolves to the version of the session that it made. */
  putState: (entry: StateChange) => Promise<number | 'limit' | 'unknown'>
  names: ServerNames
  store: ContextStore
  logger: Logger
  signals: Signals
  validateEffects: boolean
  limits: ContextLimits
  tasks: CallerTasks
  /** Told each time that the last request it ran is over. */
  onIdle?: () => void
  /** Told if its application closes the server object. */
  onClosed?: (server: SessionServer) => void
  /** What is known of its tools by others that are like it. */
  paramHeaders?: ParamHeaders
}

/** An SDK server object on this node: that of one session, or of requests without sessions. */
export class SessionServer implements CallServer {
  readonly id = randomId()
  /** Version of the newest session state that the server object has seen. */
  version = 0
  /** What it calls itself, as far as that is known; of a session of the store, what it called itself there. */
  name: string | undefined
  /** What it has answered to `initialize`. */
  initialized: Record<string, unknown> | undefined
  /** By `performance.now()`, of which no two uses get the same time: which of two was later decides who goes. */
  usedAt = performance.now()
  readonly reads: StateReads
  readonly #server: ServerObject
  readonly #proxy: ProxyObject | undefined
  readonly #transport: ServerTransport
  readonly #services: SessionServerServices
  readonly #registered: Registered
  readonly #client = new ClientView()
  readonly #paramHeaders: ParamHeaders
  readonly #questions = new Questions()
  readonly #running: RunningRequests
  readonly #own: OwnRequests
  readonly #outgoing: OutgoingMessages
  readonly #seenAhead = new Set<number>()
  readonly #awaited = new Set<Promise<unknown>>()
  #receiving: Promise<unknown> = Promise.resolve()
  /** Of the client, that wait for a turn of their own. */
  #received = 0
  readonly #closed = new LazyAbort()
  #isClosed = false

  private constructor(server: ServerObject, sessionId: string | undefined, services: SessionServerServices) {
    this.reads = services.reads
    this.#server = server
    this.#registered = new Registered(server)
    this.#paramHeaders = services.paramHeaders ?? new ParamHeaders()
    this.#proxy = isProxy(server) ? server : undefined
    this.#own = new OwnRequests(isProxy(server))
    this.#services = services
    this.#running = new RunningRequests(services.logger, {
      onStopped: (...stopped) => this.#tellStopped(...stopped),
      onOver: (log) => this.#questions.over(log),
      isWithdrawn: (request) => this.#registered.isWithdrawn(request),
      onIdle: services.onIdle,
    })
    const parts = {
      server: this,
      running: this.#running,
      own: this.#own,
      questions: this.#questions,
      registered: this.#registered,
    }
    this.#outgoing = new OutgoingMessages(parts, { ...services, keep: (change) => this.#keep(change) })
    const send: ServerTransport['send'] = (message, options) => {
      if (isResponse(message)) this.usedAt = performance.now()
      else if (message.method === 'notifications/tools/list_changed') this.#paramHeaders.forget()
      return this.#outgoing.send(message, options)
    }
    const keeper: CallKeeper = {
      record: (id, record) => this.#running.record(id, record),
      startOver: (id) => this.#running.startOver(id),
      recall: (id, question, here) => this.#recall(id, question, here),
    }
    this.#transport = new ServerTransport(sessionId, send, keeper, () => void this.#onClosed())
  }

  static async connect(
    object: ServerObject,
    sessionId: string | undefined,
    services: SessionServerServices,
  ): Promise<SessionServer> {
    const server = new SessionServer(object, sessionId, services)
    hearUnsent(object, (error) => server.#failCurrent(error))
    await object.connect(server.#transport)
    return server
  }

  /** What it answers has the form of the version without sessions. */
  get sessionless() {
    return this.#proxy?.sessionless ?? false
  }

  get busy() {
    return this.isAtWork || this.#questions.pending > 0
  }

  /** Not only waiting for answers to what it has asked outside of requests. */
  get isAtWork() {
    const isTelling = this.#proxy?.isTelling === true
    return this.#running.size > 0 || this.#own.size > 0 || this.#awaited.size > 0 || isTelling
  }

  /** Somebody wants the server as soon as `ready` resolves; until then it counts as busy. */
  async isWanted<T>(ready: Promise<T>): Promise<T> {
    this.#awaited.add(ready)
    try {
      return await ready
    } finally {
      this.#awaited.delete(ready)
      this.usedAt = performance.now()
    }
  }

  /** What the session's client has come with last, such as a new token. */
  renew(extra: MessageExtra) {
    this.#proxy?.renew(extra)
  }

  /** The client has a standalone stream on this node, or has none any more. */
  clientListens(open: boolean) {
    this.#proxy?.listen(open || !this.#proxy.shared)
  }

  /** Resolves when what the server behind this one says by itself is heard. */
  async heard() {
    await this.#proxy?.heard()
  }

  /** Resolves when another node could go on with the session as the server object knows it. */
  async settled() {
    await this.#proxy?.settled()
  }

  get running(): Iterable<DispatchTarget> {
    return this.#running.targets
  }

  /** Runs one request; its messages and its response, after `filter`, go to `target`. */
  dispatch(dispatchId: string, dispatch: Dispatch, extra: MessageExtra) {
    const { scope, request, target, interrupted, caller } = dispatch
    this.usedAt = performance.now()
    this.#client.observe(request)
    const { store, logger, signals, validateEffects, limits, tasks } = this.#services
    const isRegistered = this.#registered.has(request)
    const protocolVersion = this.initialized?.['protocolVersion'] as string | undefined
    const of = { id: dispatchId, scope, request, target, isRegistered, caller, protocolVersion }
    const client = isAlone(request) ? clientOf(request) : this.#client
    const log = new RequestLog(of, client, signals, logger)
    const observed = signals.call?.(log.run, request, extra.request)
    this.#running.begin(dispatchId, dispatch, log, observed)
    if (this.#isClosed) return void this.#running.fail(dispatchId, new ServerClosedError())
    const plain = { log, store, limits, tasks }
    const run = validateEffects ? validated(plain, target, { logger, signals }) : plain
    const dispatched: DispatchExtra = interrupted ? { ...extra, interrupted } : extra
    const deliver = () => this.#transport.deliver({ ...request, id: dispatchId }, dispatched)
    const begin = (noted: RunningCall) => {
      if (observed) observed.run(runInCall, noted, deliver)
      else runInCall(noted, deliver)
    }
    if (!isOfHandler(request)) return begin(run)
    const kind = this.handlerOf(request)
    const noting =
      kind === 'listed' ? { ...run, onBegin: async () => target.noteHandler(request, 'durable') } : run
    const noted =
      kind === 'listed' && target.handlerOf(request) === 'durable'
        ? undefined
        : target.noteHandler(request, kind)
    if (!noted) return begin(noting)
    noted
      .then(() => this.#running.isRunning(dispatchId, log) && begin(noting))
      .catch((error: unknown) => this.#running.fail(dispatchId, error))
  }

  /** Runs a request for its effect on the server object, outside any call. */
  async ask(request: JsonRpcRequest, extra: MessageExtra, withinMs?: number): Promise<JsonRpcResponse> {
    this.#client.observe(request)
    const response = await this.#own.ask(request, (sent) => this.#transport.deliver(sent, extra), withinMs)
    if (request.method === 'initialize' && 'result' in response) {
      this.initialized = response.result
      this.name = serverNameIn(response.result)
      this.#services.names.hear(this.name)
    }
    return response
  }

  /** The session began with this server; if it calls itself otherwise now, it is another one. */
  async #requireName(server: string, initialize: JsonRpcRequest, extra: MessageExtra) {
    const { names } = this.#services
    if (!names.isUsed) return
    // It has not begun a session here where it goes on with the one that it has.
    if (this.name === undefined && this.#proxy?.shared && names.own !== server) {
      const { sessionId = '' } = this.#transport
      this.name = await names.ask({ sessionId, server, initialize }, extra)
      if (this.name === undefined) throw new ServerUnknownError()
    }
    if (this.name !== undefined && this.name !== server) throw new OtherServerError()
    this.name = server
  }

  /**
   * Brings the server object to a newer state of the session, without its notifications going out again. Throws an
   * `OtherServerError` before anything is done to the session if that is not `server`'s, and a `ServerRefusedError` if the server
   * behind this one does not begin it.
   */
  async replay(entries: readonly StateMessage[], extra: MessageExtra, server?: string) {
    const replay = { over: false }
    const unfollow = followScopes()
    await runInScope(new AsyncScope(undefined, undefined, replay), async () => {
      for (const { version, message } of entries) {
        if (version <= this.version) continue
        const change = changeOf(message)
        if (this.#seenAhead.has(version)) this.#seenAhead.delete(version)
        else if (change) this.#registered.apply(change)
        else if (await this.#proxy?.hasSeen(version)) {
          if (isRequest(message)) this.#client.observe(message)
        } else if (isRequest(message)) await this.#replayRequest(message, extra)
        else this.#transport.deliver(message, extra)
        if (server !== undefined && isRequest(message) && message.method === 'initialize')
          await this.#requireName(server, message, extra)
        this.version = Math.max(this.version, version)
      }
      // Handlers of notifications start some microtasks later.
      await new Promise<void>((resolve) => process.nextTick(resolve))
    }).finally(() => {
      // What they say in this turn is part of the replay.
      setImmediate(() => {
        unfollow()
        replay.over = true
      })
    })
    this.#proxy?.saw(this.version)
  }

  /** A server behind this one that does not begin the session now may do so for the next request. */
  async #replayRequest(request: JsonRpcRequest, extra: MessageExtra) {
    const response = await this.ask(request, extra)
    if (this.#proxy && request.method === 'initialize' && 'error' in response)
      throw new ServerRefusedError(response)
  }

  /** The server object has seen this state already, when it was new. */
  saw(version: number) {
    this.#seenAhead.add(version)
    while (this.#seenAhead.delete(this.version + 1)) this.version++
    this.#proxy?.saw(this.version)
  }

  findTool(name: string, extra: MessageExtra): Promise<RecoveredTool | undefined> {
    return this.#registered.findTool(name, (request, withinMs) => this.ask(request, extra, withinMs))
  }

  /** Parameters of a tool that headers repeat. */
  mirroredParams(tool: string, extra: MessageExtra): MirroredParams | Promise<MirroredParams> {
    // That server sees the headers itself.
    if (this.sessionless) return NOTHING_MIRRORED
    return this.#paramHeaders.of(tool, (request) => this.ask(request, extra))
  }

  /** Whether there is certainly no such prompt or resource here. */
  lacks(request: JsonRpcRequest, extra: MessageExtra): Promise<boolean> {
    return this.#registered.lacks(request, (asked, withinMs) => this.ask(asked, extra, withinMs))
  }

  /** Whether a call of the session has disabled or removed the tool or prompt, for all nodes. */
  isWithdrawn(request: JsonRpcRequest): boolean {
    return this.#registered.isWithdrawn(request)
  }

  /** What runs a request of the client here. */
  handlerOf(request: JsonRpcRequest): HandlerKind {
    return this.#registered.handlerOf(request)
  }

  /** Whether a call of the client may be a task; `undefined`: its tool does not say. */
  taskModeOf(request: JsonRpcRequest): TaskMode | undefined {
    return this.#registered.taskModeOf(request)
  }

  /** How it becomes one, if its client knows none. */
  plainTaskOf(request: JsonRpcRequest, tasks: TasksOption): PlainTask | undefined {
    return this.#registered.plainTaskOf(request, tasks)
  }

  /** Whether any may. */
  get hasTasks() {
    return this.#registered.hasTasks
  }

  async #keep(change: RegistrationChange) {
    const { putState, logger } = this.#services
    const entry = stateChange(`registered:${digest(`${change.list} ${change.name}`)}`, changeMessage(change))
    try {
      const version = await whileStoreFails(() => putState(entry), this.#closed, REFUSED_FOR_MS)
      if (typeof version === 'number') this.saw(version)
      else if (version === 'limit') logger.warn({ changed: change.name }, NOT_KEPT)
    } catch (error) {
      logger.error({ error, changed: change.name }, NOT_KEPT)
    }
  }

  notify(message: JsonRpcMessage, extra: MessageExtra) {
    this.usedAt = performance.now()
    this.#transport.deliver(message, extra)
  }

  /** Of a question that the server behind this one has asked outside of its requests. */
  clientSaid(asker: string, message: JsonRpcMessage) {
    this.#proxy?.clientSaid(asker, message)
  }

  /** By its application, as a tool that calls `server.close()`: what it runs can't be answered, and the next request gets another one. */
  async #onClosed() {
    if (this.#closed.aborted) return
    this.#isClosed = true
    await this.#running.failAll(new ServerClosedError())
    this.#services.onClosed?.(this)
  }

  /** The request in which the code runs can't be answered. */
  #failCurrent(error: Error) {
    const log = currentLog()
    if (log instanceof RequestLog && this.#running.isRunning(log.callId, log))
      void this.#running.fail(log.callId, error)
  }

  cancel(dispatchId: string, reason: string, moved = false) {
    this.#running.stop(dispatchId, reason, moved)
  }

  #tellStopped(requestId: string, reason: string, moved: boolean) {
    if (moved && this.#proxy?.shared) return this.#proxy.letGo(requestId)
    const params = { requestId, reason }
    this.#transport.deliver({ jsonrpc: '2.0', method: 'notifications/cancelled', params })
  }

  waiting(dispatchId: string): Waiting | undefined {
    return this.#running.logOf(dispatchId)?.waiting?.()
  }

  /** Cancels requests that are not journaled yet, by what their request keys begin with. */
  cancelDeferred(keyPrefix: string) {
    for (const target of this.running) {
      if (target instanceof DeferredCall) target.cancel(keyPrefix, 'The client cancelled the request.')
    }
  }

  /** In turns of their own: the SDK handles an answer at once, but progress that came before it in a later microtask. */
  receive(message: JsonRpcMessage) {
    // A client decides how much progress it tells of, and how fast.
    if (!isResponse(message) && this.#received >= MOST_RECEIVED) return
    this.#received++
    this.#receiving = this.#receiving.then(() => {
      this.#received--
      const incoming = this.#questions.incoming(message)
      if (incoming) this.#transport.deliver(incoming)
      return nextTurn()
    })
  }

  async close() {
    if (this.#closed.aborted) return
    this.#closed.abort()
    this.#running.abandon('The session left this node.')
    this.#outgoing.close()
    try {
      await this.#server.close()
    } catch (error) {
      this.#services.logger.warn({ error }, 'closing a server object failed')
    }
  }

  /** Nobody has been told of its session, or will come back to it. */
  async discard() {
    this.#proxy?.discard()
    await this.close()
  }

  /** The answer may have come before this node knew of the question. */
  #recall(id: string, question: string, here: string) {
    const target = this.#running.targetOf(id)
    if (!(target instanceof Call)) return
    this.#questions.recall(question, here)
    const answer = target.questions.answerTo(question)
    if (answer) this.receive(answer)
  }
}
