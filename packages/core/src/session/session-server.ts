import { setImmediate as nextTurn } from 'node:timers/promises'
import { Call } from '../call/call.js'
import type { CallServer, DispatchTarget } from '../call/call.js'
import type { ContextStore } from '../context/context-store.js'
import { ReplayDivergedError } from '../context/errors.js'
import { currentScope, followScopes, runInScope } from '../context/async-scope.js'
import { ReplayLog } from '../context/replay-log.js'
import { currentLog, runInCall } from '../context/run-context.js'
import { RequestLog, UNRECORDABLE } from '../call/request-log.js'
import { isDurable } from '../context/durable-handlers.js'
import { DeferredCall } from '../call/deferred-call.js'
import { JournalClosedError, JournalLostError } from '../call/journal.js'
import type { HandlerKind, Origin } from '../call/record.js'
import type { RunningCall } from '../context/run-context.js'
import { DurableError, UnrecordableError } from '../errors.js'
import { randomId } from '../ids.js'
import { errorResponse, isRequest, isResponse } from '../json-rpc.js'
import type {
  JsonRpcError,
  JsonRpcMessage,
  JsonRpcNotification,
  JsonRpcRequest,
  JsonRpcResponse,
} from '../json-rpc.js'
import type { Logger } from '../logger.js'
import { validated } from './validation.js'
import { ClientView } from './client-view.js'
import { Questions } from './questions.js'
import { isProxy } from './server-factory.js'
import type { ProxyObject, ServerObject } from './server-factory.js'
import { endingOf } from '../signals/events.js'
import type { CallOutcome } from '../signals/events.js'
import type { Observed } from '../signals/observed.js'
import type { Signals } from '../signals/signals.js'
import { isListChanged, Registrations } from './registrations.js'
import { isRepeatable, unrecordable } from './recovery.js'
import type { RecoveredTool } from './recovery.js'
import type { Standalone } from './standalone.js'
import type { StateReads } from './state-reads.js'
import { ServerTransport } from './transport.js'
import type { DispatchExtra, Interrupted, MessageExtra, SendOptions } from './transport.js'

const SETUP_TIMEOUT_MS = 30_000
/** Progress of the client that waits to be handed on. */
const MOST_RECEIVED = 100
/** Pages of tools/list that are searched for a tool. */
const MAX_PAGES = 100

/** A message of the client that is part of the session's state. */
export type StateMessage = { version: number; message: JsonRpcMessage }
type ListedTool = { name: string; annotations?: RecoveredTool['annotations'] }
type RegisteredTool = { handler?: unknown; callback?: unknown; annotations?: RecoveredTool['annotations'] }
type RegistersTools = {
  _registeredTools?: Record<string, RegisteredTool | undefined>
  _registeredPrompts?: object
}

export type ResponseFilter = (request: JsonRpcRequest, response: JsonRpcResponse) => Promise<JsonRpcResponse>
type Dispatch = {
  request: JsonRpcRequest
  target: DispatchTarget
  filter?: ResponseFilter | undefined
  /** Whether the request may be run again although it may have run. */
  mayRunAgain: () => Promise<boolean>
  interrupted?: Interrupted | undefined
}
type Running = Dispatch & { log: RequestLog; observed: Observed<'call'> | undefined; unfollow: () => void }
export type SessionServerServices = {
  /** Told the name of the server, each time that it is heard. */
  onServer: (name: string) => void
  standalone: Standalone
  store: ContextStore
  logger: Logger
  signals: Signals
  validateEffects: boolean
  /** What its factory has read of the session's state. */
  reads: StateReads
  /** Lists of which it was said that what a call has changed in them will be lost. */
  saidLost: Set<string>
}

/** The SDK server object of one session on this node. */
export class SessionServer implements CallServer {
  readonly id = randomId()
  /** Version of the newest session state that the server object has seen. */
  version = 0
  /** By `performance.now()`, of which no two uses get the same time: which of two was later decides who goes. */
  usedAt = performance.now()
  readonly reads: StateReads
  readonly #server: ServerObject
  readonly #proxy: ProxyObject | undefined
  readonly #registrations: Registrations
  readonly #transport: ServerTransport
  readonly #services: SessionServerServices
  readonly #client = new ClientView()
  readonly #questions = new Questions()
  readonly #running = new Map<string, Running>()
  readonly #seenAhead = new Set<number>()
  readonly #awaited = new Set<Promise<void>>()
  readonly #setup = new Map<string, (response: JsonRpcResponse) => void>()
  #asked = 0
  #receiving: Promise<unknown> = Promise.resolve()
  #inbox: ReturnType<Standalone['openInbox']> | undefined
  /** Of the client, that wait for a turn of their own. */
  #received = 0
  #closed = false

  private constructor(server: ServerObject, sessionId: string, services: SessionServerServices) {
    this.reads = services.reads
    this.#server = server
    this.#registrations = new Registrations(server)
    this.#proxy = isProxy(server) ? server : undefined
    this.#services = services
    this.#transport = new ServerTransport(sessionId, (message, options) => this.#send(message, options), {
      record: async (id, record) => {
        const target = this.#running.get(id)?.target
        if (target instanceof Call) await target.record(record)
        else if (target?.isJournaled) await (await target.journaled()).record(record)
      },
      startOver: (id) => this.#startOver(id),
      recall: (id, question, here) => this.#recall(id, question, here),
    })
  }

  static async connect(
    object: ServerObject,
    sessionId: string,
    services: SessionServerServices,
  ): Promise<SessionServer> {
    const server = new SessionServer(object, sessionId, services)
    await object.connect(server.#transport)
    return server
  }

  get busy() {
    return (
      this.#running.size > 0 || this.#questions.pending > 0 || this.#setup.size > 0 || this.#awaited.size > 0
    )
  }

  /** Somebody wants the server as soon as `ready` resolves; until then it counts as busy. */
  async isWanted(ready: Promise<void>) {
    this.#awaited.add(ready)
    try {
      await ready
    } finally {
      this.#awaited.delete(ready)
      this.usedAt = performance.now()
    }
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
    return new Set([...this.#running.values()].map(({ target }) => target))
  }

  /** Runs one request; its messages and its response, after `filter`, go to `target`. */
  dispatch(dispatchId: string, dispatch: Dispatch, extra: MessageExtra) {
    const { request, target, interrupted } = dispatch
    this.usedAt = performance.now()
    this.#client.observe(request)
    const { store, logger, signals, validateEffects } = this.#services
    const scope = this.#transport.sessionId
    const of = { id: dispatchId, scope, request, target, isRegistered: this.#hasTarget(request) }
    const log = new RequestLog(of, this.#client, signals, logger)
    const observed = signals.call?.(log.run, request, extra.request)
    this.#running.set(dispatchId, { ...dispatch, log, observed, unfollow: followScopes() })
    const run = validateEffects ? validated({ log, store }, target, { logger, signals }) : { log, store }
    const dispatched: DispatchExtra = interrupted ? { ...extra, interrupted } : extra
    const deliver = () => this.#transport.deliver({ ...request, id: dispatchId }, dispatched)
    const begin = (noted: RunningCall) => {
      if (observed) observed.run(runInCall, noted, deliver)
      else runInCall(noted, deliver)
    }
    if (!(target instanceof Call) || request.method !== 'tools/call') return begin(run)
    const kind = this.handlerOf(request)
    const noting =
      kind === 'listed' ? { ...run, onBegin: async () => target.noteHandler(request, 'durable') } : run
    const noted =
      kind === 'listed' && target.handlerOf(request) === 'durable'
        ? undefined
        : target.noteHandler(request, kind)
    if (!noted) return begin(noting)
    const isRunning = () => this.#running.get(dispatchId)?.log === log
    noted.then(() => isRunning() && begin(noting)).catch((error: unknown) => this.#fail(dispatchId, error))
  }

  /** Runs a request for its effect on the server object, outside any call. */
  async ask(request: JsonRpcRequest, extra: MessageExtra): Promise<JsonRpcResponse> {
    const id = randomId()
    this.#client.observe(request)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#setup.delete(id)
        reject(
          new DurableError('setup-timeout', `The server object did not answer ${request.method} in time.`),
        )
      }, SETUP_TIMEOUT_MS)
      this.#setup.set(id, (response) => {
        clearTimeout(timer)
        this.#noteServer(request, response)
        resolve({ ...response, id: request.id })
      })
      this.#transport.deliver({ ...request, id }, extra)
    })
  }

  #noteServer({ method }: JsonRpcRequest, response: JsonRpcResponse) {
    if (method !== 'initialize' || !('result' in response)) return
    const { name } = (response.result['serverInfo'] ?? {}) as { name?: unknown }
    if (typeof name === 'string') this.#services.onServer(name)
  }

  /** Brings the server object to a newer state of the session, without its notifications going out again. */
  async replay(entries: readonly StateMessage[], extra: MessageExtra) {
    const replay = { over: false }
    const unfollow = followScopes()
    await runInScope({ replay }, async () => {
      for (const { version, message } of entries) {
        if (version <= this.version) continue
        if (this.#seenAhead.has(version)) this.#seenAhead.delete(version)
        else if (await this.#proxy?.hasSeen(version)) {
          if (isRequest(message)) this.#client.observe(message)
        } else if (isRequest(message)) await this.ask(message, extra)
        else this.#transport.deliver(message, extra)
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

  /** The server object has seen this state already, when it was new. */
  saw(version: number) {
    this.#seenAhead.add(version)
    while (this.#seenAhead.delete(this.version + 1)) this.version++
    this.#proxy?.saw(this.version)
  }

  /** What the server lists of a tool, and whether its handler is durable. */
  async findTool(name: string, extra: MessageExtra): Promise<RecoveredTool | undefined> {
    let cursor: unknown
    for (let page = 0; page < MAX_PAGES; page++) {
      const params = cursor === undefined ? {} : { cursor }
      const response = await this.ask({ jsonrpc: '2.0', id: 0, method: 'tools/list', params }, extra)
      if (!('result' in response)) return undefined
      const tool = (response.result['tools'] as ListedTool[]).find((listed) => listed.name === name)
      if (tool)
        return {
          name,
          durable: this.#registeredKind(name) === 'durable',
          annotations: tool.annotations ?? {},
        }
      cursor = response.result['nextCursor']
      if (cursor === undefined) return undefined
    }
    return undefined
  }

  /** What runs a request of the client here. */
  handlerOf({ method, params }: JsonRpcRequest): HandlerKind {
    return method === 'tools/call' ? this.#registeredKind(String(params?.['name'])) : 'plain'
  }

  #registeredKind(name: string): HandlerKind {
    if (!this.#tools) return 'listed'
    if (this.#isDurable(name)) return 'durable'
    return isRepeatable(this.#registered(name)?.annotations) ? 'repeatable' : 'plain'
  }

  /** Both majors keep registered tools under this name. If one does not, and behind HTTP, tools are only seen in the list. */
  get #tools() {
    return (this.#server as RegistersTools)._registeredTools
  }

  /** Whether there is the tool or prompt that is asked for. */
  #hasTarget({ method, params }: JsonRpcRequest): boolean | undefined {
    const { _registeredTools, _registeredPrompts } = this.#server as RegistersTools
    const registered = method === 'tools/call' ? _registeredTools : _registeredPrompts
    return registered && Object.hasOwn(registered, String(params?.['name']))
  }

  #registered(name: string): RegisteredTool | undefined {
    return this.#tools && Object.hasOwn(this.#tools, name) ? this.#tools[name] : undefined
  }

  #isDurable(name: string) {
    const registered = this.#registered(name)
    return [registered?.handler, registered?.callback].some((handler) => isDurable(handler))
  }

  notify(message: JsonRpcMessage, extra: MessageExtra) {
    this.usedAt = performance.now()
    this.#transport.deliver(message, extra)
  }

  cancel(dispatchId: string, reason: string, moved = false) {
    const running = this.#running.get(dispatchId)
    if (!running) return
    this.#running.delete(dispatchId)
    running.log.stopFor(reason)
    running.unfollow()
    running.observed?.end(endOf(running.log, moved ? 'moved' : 'cancelled'))
    if (moved && this.#proxy?.shared) return this.#proxy.letGo(dispatchId)
    const params = { requestId: dispatchId, reason }
    this.#transport.deliver({ jsonrpc: '2.0', method: 'notifications/cancelled', params })
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
    if (this.#closed) return
    this.#closed = true
    for (const { target, log, observed, unfollow } of this.#running.values()) {
      unfollow()
      log.stopFor('The session left this node.')
      target.abandon('The session left this node.')
      observed?.end(endOf(log, 'moved'))
    }
    const own = `${this.id}.`
    this.#inbox?.end(this.#questions.unanswered.filter((question) => question.startsWith(own)))
    try {
      await this.#server.close()
    } catch (error) {
      this.#services.logger.warn({ error }, 'closing a server object failed')
    }
  }

  async #send(message: JsonRpcMessage, options?: SendOptions) {
    if (isResponse(message)) return this.#sendResponse(message)
    const log = currentLog()
    if (log instanceof ReplayLog) return sendInReplay(log, message)
    const related = options?.relatedRequestId
    // What belongs to a request of our own has no client to go to.
    if (related !== undefined && this.#setup.has(String(related)) && !isRequest(message)) return
    const id = String(related)
    const target = related === undefined ? undefined : this.#running.get(id)?.target
    if (related !== undefined && !target) {
      if (isRequest(message)) throw new JournalClosedError()
      return
    }
    if (isRequest(message)) return this.#sendQuestion(message, target ?? this.#current(), options?.origin)
    if (message.method === 'notifications/cancelled')
      return this.#sendWithdrawal(message, target ?? this.#current())
    if (target) return this.#sendInCall(id, target, message, options?.origin)
    if (isListChanged(message.method) && log) this.#warnOfLoss(message.method)
    // What is sent while old state is replayed was sent when it was new.
    const { replay } = currentScope()
    if (replay && !replay.over) return
    await this.#sendOutsideOfCalls(message, options?.once)
  }

  /** What a handler says after its call has ended goes nowhere. It must not fail: nobody may be waiting for it, and that would end the process. */
  async #sendInCall(id: string, target: DispatchTarget, message: JsonRpcMessage, origin?: Origin) {
    try {
      await target.send(message, undefined, origin)
    } catch (error) {
      await this.#fail(id, error)
    }
  }

  /** Nor must this. */
  async #sendOutsideOfCalls(message: JsonRpcNotification, once: string | undefined) {
    const { standalone, logger } = this.#services
    try {
      await standalone.send(message, once)
    } catch (error) {
      logger.error({ error, method: message.method }, 'a message to the standalone stream was lost')
    }
  }

  /** The call whose handler is running, if it can still send. A question asked there belongs to that call, related or not. */
  #current() {
    const log = currentLog()
    return log instanceof RequestLog && log.target.open ? log.target : undefined
  }

  /** A call has changed what there is, and the factory does not know of it. */
  #warnOfLoss(method: Parameters<Registrations['changed']>[0]) {
    const { reads, saidLost, logger } = this.#services
    if (reads.any || saidLost.has(method)) return
    const names = this.#registrations.changed(method)
    if (names.length === 0) return
    saidLost.add(method)
    logger.warn({ changed: names.slice(0, 3) }, LOST)
  }

  async #sendResponse(response: JsonRpcResponse) {
    const id = String(response.id)
    const setup = this.#setup.get(id)
    if (setup) {
      this.#setup.delete(id)
      return setup(response)
    }
    const running = this.#running.get(id)
    if (!running) return
    running.unfollow()
    this.usedAt = performance.now()
    try {
      const answer = await this.#respond(id, running, response)
      running.observed?.end({ ...running.log.run, ...endingOf(answer) })
    } finally {
      this.#running.delete(id)
      running.observed?.end(endOf(running.log, 'moved'))
    }
  }

  /** A call whose handler has ended must end: whatever goes wrong between that and the journal is the answer. */
  async #respond(id: string, { request, target, filter, log }: Running, response: JsonRpcResponse) {
    try {
      const answer = filter ? await filter(request, response) : response
      await target.respond(id, answer)
      return answer
    } catch (error) {
      if (isOver(error) || !target.open) throw error
      this.#tellUnrecordable(log, error)
      const answer = withoutData(response) ?? unrecordable(request, asError(error))
      await target.respond(id, answer).catch((again: unknown) => {
        // Nothing at all can be recorded of it: it must not seem to run here.
        if (!isOver(again)) target.abandon('Its journal takes nothing.')
        throw again
      })
      return answer
    }
  }

  /** A request can't go on as it is: it ends with an error now, whatever its handler does next. */
  async #fail(id: string, error: unknown) {
    const running = this.#running.get(id)
    if (!running || isOver(error)) return
    const { request, target, log } = running
    this.#tellUnrecordable(log, error)
    const answer = unrecordable(request, asError(error))
    try {
      await target.respond(id, answer)
      running.observed?.end({ ...log.run, ...endingOf(answer) })
    } catch (again) {
      if (!isOver(again)) this.#services.logger.error({ error: again }, 'a call could not be ended')
      if (!isOver(again)) target.abandon('Its journal takes nothing.')
    }
    this.cancel(id, answer.error.message)
  }

  #tellUnrecordable(log: RequestLog, error: unknown) {
    // What a `toJSON` or a getter threw tells where; what we made of it does not.
    log.tell(
      'error',
      { error: error instanceof UnrecordableError ? (error.cause ?? error) : error },
      UNRECORDABLE,
    )
  }

  async #sendQuestion(request: JsonRpcRequest, target: DispatchTarget | undefined, origin?: Origin) {
    try {
      if (target) await target.ask(request, (id) => this.#questions.outgoing(request, id), origin)
      else await this.#askOutsideOfCalls(request)
    } catch (error) {
      this.#questions.forget(request)
      throw error
    }
  }

  async #askOutsideOfCalls(request: JsonRpcRequest) {
    this.#inbox ??= this.#services.standalone.openInbox(this.id, this)
    await this.#services.standalone.send(this.#questions.outgoing(request, `${this.id}.${++this.#asked}`))
  }

  async #startOver(id: string) {
    const running = this.#running.get(id)
    if (!running || !(await running.mayRunAgain()) || !this.#running.has(id)) return false
    if (running.target.isJournaled) await (await running.target.journaled()).startOver()
    return true
  }

  /** The answer may have come before this node knew of the question. */
  #recall(id: string, question: string, here: string) {
    const target = this.#running.get(id)?.target
    if (!(target instanceof Call)) return
    this.#questions.recall(question, here)
    const answer = target.answerTo(question)
    if (answer) this.receive(answer)
  }

  async #sendWithdrawal(message: JsonRpcNotification, target: DispatchTarget | undefined) {
    const params = this.#questions.withdrawn(message.params)
    if (params) await (target ?? this.#services.standalone).send({ ...message, params })
  }
}

const LOST =
  'a call has added, enabled, disabled or removed tools, prompts or resources of its session. That is lost on other nodes, and here ' +
  'once the session was idle: keep it in `ctx.state`, and let the factory read it from `session.state`'

const endOf = ({ run }: RequestLog, outcome: CallOutcome) => ({ ...run, outcome, errorCode: undefined })

/** What a handler sends with the SDK itself while it is replayed for comparison goes nowhere. */
async function sendInReplay(replay: ReplayLog, message: JsonRpcMessage) {
  if (isRequest(message)) throw new ReplayDivergedError()
  await replay.send(message)
}

/** Nothing can be said for the call by this node any more. */
const isOver = (error: unknown) => error instanceof JournalClosedError || error instanceof JournalLostError

const asError = (error: unknown) => (error instanceof Error ? error : new Error(String(error)))

/** The error that a handler threw, without what it carries along. */
function withoutData(response: JsonRpcResponse): JsonRpcError | undefined {
  if (!('error' in response)) return undefined
  const { code, message } = response.error as { code?: unknown; message?: unknown }
  if (typeof code !== 'number' || typeof message !== 'string') return undefined
  return errorResponse(response.id ?? null, Math.trunc(code), message)
}
