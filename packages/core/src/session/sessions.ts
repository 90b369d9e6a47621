import { setTimeout as sleep } from 'node:timers/promises'
import { Call } from '../call/call.js'
import type { DispatchTarget } from '../call/call.js'
import { DeferredCall } from '../call/deferred-call.js'
import type { CallRequest, Calls, TakenOver } from '../call/calls.js'
import { encodeInboxItem, MAX_INBOX, progressTopic } from '../call/inbox.js'
import type { InboxItem } from '../call/inbox.js'
import type { BegunHandler } from '../call/record.js'
import { randomId, requestKeyPrefix, sessionIdOf } from '../ids.js'
import { encodeJson, encodeMessage, ErrorCode, errorResponse } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcNotification, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { Settings } from '../settings.js'
import { endingOf } from '../signals/events.js'
import type { CallEnding, TakeoverOutcome } from '../signals/events.js'
import type { Signals } from '../signals/signals.js'
import type { Admission, LogName, Store } from '../store/store.js'
import type { Watcher } from '../store/watcher.js'
import type { SessionServer } from './session-server.js'
import { SessionServers } from './session-servers.js'
import type { Progress } from './session-servers.js'
import { CANCELLED } from './listening.js'
import { askerOf } from './questions.js'
import { gaveUp, mayRunAgain, outcomeUnknown, unrecordable } from './recovery.js'
import type { RecoveredCall } from './recovery.js'
import type { ProxyOrigin, ServerFactory, SessionInfo } from './server-factory.js'
import { StandaloneMessages } from './standalone.js'
import { canPrime, MAX_STATE_CHARS, stateKey } from './state.js'
import type { Interrupted, MessageExtra } from './transport.js'

export type SessionServices = {
  store: Store
  watcher: Watcher
  calls: Calls
  logger: Logger
  settings: Settings
  signals: Signals
  server: ServerFactory
  /** Told the name of the server, each time that it is heard. */
  onServer: (name: string) => void
  /** Set if the server objects stand for a server behind HTTP. */
  proxy: ProxyOrigin | undefined
  recover: ((call: RecoveredCall) => boolean | undefined) | undefined
  /** Ends the streams of a log on this node; their clients come back. */
  closeStreams: (sessionId: string, log: LogName) => void
}

export type Initialized =
  | { status: 'created'; mcpSessionId: string; response: JsonRpcResponse }
  | { status: 'refused'; response: JsonRpcResponse }
  | { status: 'limit' }

type Begun = Exclude<Initialized, { status: 'created' }> | { status: 'created'; response: JsonRpcResponse }

const NO_TASKS =
  'the server offers tasks of the SDK (`tasks/get` and so on), which do not cross nodes: a task ends with its node, and other nodes know of it only ' +
  'if they share its `taskStore`. A `durableTool` outlives its node'

/** How long a client waits for an upstream to be heard, and to be told. */
const HEARD_WITHIN_MS = 1000
const TOLD_WITHIN_MS = 1000

type InterruptedRun = { attempt: number; interrupted: BegunHandler }

/** Of what a client says about a question or a cancellation. */
const MAX_PROGRESS_CHARS = 16 * 1024
const MAX_REASON_CHARS = 1000

/** Everything a client or the application does to a session, on whichever node it arrives. */
export class Sessions {
  readonly servers: SessionServers
  readonly standalone: StandaloneMessages
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
      validateEffects: settings.validateEffects,
      onServer: services.onServer,
      serverIdleMs: settings.serverIdleMs,
      maxServers: settings.maxServers,
    })
  }

  admit(sessionId: string, principal: string | undefined): Promise<Admission | undefined> {
    return this.#store.admit(sessionId, principal, this.#services.settings.sessionTtlMs)
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
    const run = { sessionId, callId: randomId(), method: request.method, name: undefined, attempt: 1 }
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
        return await this.#refuse(server, { status: 'refused', response: unrecordable(request, problem) })
      }
      if (!('result' in response)) return await this.#refuse(server, { status: 'refused', response })
      this.#warnOfTasks(response.result['capabilities'])
      const created = await this.#store.createSession(
        {
          id: sessionId,
          principal,
          protocolVersion: String(response.result['protocolVersion']),
          state: { key: 'initialize', data: JSON.stringify(request) },
          ttlMs: settings.sessionTtlMs,
        },
        { maxPerPrincipal: settings.maxSessionsPerPrincipal, evict: settings.evictSessions },
      )
      if (created === 'limit') return await this.#refuse(server, { status: 'limit' })
      server.saw(1)
      await server.settled()
      await this.servers.adopt(sessionId, server)
      const { protocolVersion } = response.result
      this.#services.signals.sessionBegun?.({ sessionId, protocolVersion: String(protocolVersion) })
      return { status: 'created', response }
    } catch (error) {
      await server.close()
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

  /** Runs what is left to run of a journaled call. Ends at once; messages and responses go to the journal. */
  run(call: Call, server: SessionServer, { protocolVersion }: Admission, extra: MessageExtra) {
    const all = { ...extra, ...this.#closersOf(call, protocolVersion) }
    this.#dispatch(call, call.runOn(server), call.scope, server, all)
  }

  /** What will run requests of a session on this node, as far as that can be told before they are recorded. */
  handlersOf(sessionId: string, requests: readonly JsonRpcRequest[]): readonly BegunHandler[] {
    const server = this.servers.peek(sessionId)
    return requests.map((request) => {
      if (request.method !== 'tools/call') return 'plain'
      if (this.#services.proxy) return 'listed'
      return server?.handlerOf(request) ?? 'none'
    })
  }

  /** Runs a call again whose node is gone, or ends it if that must not be. The first run of one may come late. */
  async recover(taken: TakenOver): Promise<TakeoverOutcome> {
    const { call, request, runs } = taken
    const { logger, settings } = this.#services
    if (call.attempt > settings.maxAttempts) {
      await call.end((interrupted) => gaveUp(interrupted, call.attempt - 1))
      return 'gave-up'
    }
    if (runs.isForeign) return this.#giveBack(taken, 'a newer version of this library has run it')
    const session = await call.whileStoreFails(() => this.#store.readSession(call.scope))
    if (!session) {
      call.abandon('The session does not exist any more.')
      return 'gone'
    }
    const { authInfo, url } = request
    const extra: MessageExtra = {
      authInfo,
      ...this.#closersOf(call, session.protocolVersion),
      ...(url !== undefined && { url }),
    }
    const server = await this.#serverFor(taken, session, extra)
    if (!server) return this.#giveBack(taken, 'its server object can’t be made here')
    if (this.#services.proxy?.shared && call.attempt > 1) {
      // Whether the upstream goes on with it, and whether it may run it again, shows when it can be reached.
      const { resume } = call.requests.length === 1 ? runs : {}
      if (resume) call.resumes(resume.sent)
      this.#dispatch(call, call.runOn(server), call.scope, server, extra, resume ? { resume } : {})
      return 'run'
    }
    const requests = call.runOn(server)
    const verdicts = await Promise.all(
      requests.map(([, interrupted]) => {
        const run = { attempt: call.attempt, interrupted: call.handlerOf(interrupted) }
        return this.#judge(server, interrupted, run, extra)
      }),
    )
    if (verdicts.includes('elsewhere')) return this.#giveBack(taken, 'no handler here can go on with it')
    let outcome: TakeoverOutcome = 'unknown'
    for (const [place, [dispatched, interrupted]] of requests.entries()) {
      if (verdicts[place] === 'unknown') {
        await call.respond(dispatched, outcomeUnknown(interrupted))
        continue
      }
      this.#dispatch(call, [[dispatched, interrupted]], call.scope, server, extra)
      outcome = 'run'
    }
    logger.info({ session: shortId(call.scope), attempt: call.attempt }, 'took over a call')
    return outcome
  }

  /** Undefined: it can't be made; the log says why. */
  async #serverFor(
    { call }: TakenOver,
    session: Progress,
    extra: MessageExtra,
  ): Promise<SessionServer | undefined> {
    try {
      return await call.whileStoreFails(() => this.servers.get(call.scope, session, extra))
    } catch (error) {
      this.#services.logger.error(
        { error, session: shortId(call.scope) },
        'a call could not be run again here',
      )
      return undefined
    }
  }

  /** Another node may be able to run it: one that is newer, or has what this one lacks. If none is for long, it ends. */
  async #giveBack({ call, runs, claimed }: TakenOver, reason: string): Promise<TakeoverOutcome> {
    const { logger, settings } = this.#services
    if (runs.unservedMs(claimed.first) >= settings.maxUnservedMs) {
      await call.end((interrupted) => outcomeUnknown(interrupted))
      return 'unknown'
    }
    logger.warn({ session: shortId(call.scope), call: shortId(call.id), reason }, 'a call was given back')
    call.abandon('Another node goes on with it.')
    return 'returned'
  }

  async #mayRunAgain(
    server: SessionServer,
    request: JsonRpcRequest,
    run: InterruptedRun,
    extra: MessageExtra,
  ) {
    return (await this.#judge(server, request, run, extra)) === 'run'
  }

  /** `elsewhere`: it may run again by a handler of the kind that began it, and this node has none. */
  async #judge(
    server: SessionServer,
    request: JsonRpcRequest,
    { attempt, interrupted }: InterruptedRun,
    extra: MessageExtra,
  ): Promise<'run' | 'unknown' | 'elsewhere'> {
    if (attempt === 1) return 'run'
    const { method, params } = request
    const isCall = method === 'tools/call'
    const tool = isCall ? await server.findTool(String(params?.['name']), extra) : undefined
    // Nothing has begun to run it.
    if (interrupted === 'none') return isCall && !tool ? 'elsewhere' : 'run'
    const recovered = { method, params, tool, interrupted, attempt }
    const given = this.#services.recover?.(recovered)
    if (given ?? mayRunAgain(recovered, server.handlerOf(request)))
      return isCall && !tool ? 'elsewhere' : 'run'
    return given === undefined && isCall && interrupted !== 'plain' && (!tool || interrupted !== 'listed')
      ? 'elsewhere'
      : 'unknown'
  }

  /** Runs requests that are not journaled from the start. */
  runDeferred(request: CallRequest, server: SessionServer, extra: MessageExtra): DeferredCall {
    const deferred = new DeferredCall(this.#services.calls, request, server)
    this.#dispatch(deferred, deferred.pending(), request.scope, server, extra)
    return deferred
  }

  /** Takes a notification of the client. Resolves when it can't be lost any more. */
  async notification(
    sessionId: string,
    message: JsonRpcNotification,
    extra: MessageExtra,
  ): Promise<'accepted' | 'unknown' | 'limit'> {
    if (message.method === 'notifications/cancelled') {
      await this.#cancel(sessionId, message)
      return 'accepted'
    }
    if (message.method === 'notifications/progress') {
      await this.#progress(sessionId, message)
      return 'accepted'
    }
    if (stateKey(message) === undefined) {
      void this.#inform(sessionId, message, extra)
      return 'accepted'
    }
    const version = await this.#putState(sessionId, message)
    if (typeof version !== 'number') return version
    const informed = this.#inform(sessionId, message, extra, version)
    // One node tells an upstream; another one that is asked next must know that it has.
    if (this.#services.proxy?.shared)
      await Promise.race([informed, sleep(TOLD_WITHIN_MS, undefined, { ref: false })])
    return 'accepted'
  }

  /**
   * Takes a client's answer to a question: the first one. Answers that nobody waits for are dropped, as the SDK does.
   * `full`: the call has been answered as much as it may.
   */
  async answer(sessionId: string, message: JsonRpcResponse): Promise<'accepted' | 'full'> {
    const asker = askerOf(message.id)
    if (asker === undefined) return 'accepted'
    const question = String(message.id)
    const item: InboxItem = { kind: 'answer', question, json: encodeJson(message) }
    const left = await this.#leave(sessionId, asker, item, { answers: question })
    return left === false ? 'full' : 'accepted'
  }

  async delete(sessionId: string, principal: string | undefined, extra: MessageExtra = {}): Promise<boolean> {
    const upstream = await this.#services.proxy?.linkedTo(sessionId)
    const deleted = await this.#store.deleteSession(sessionId, principal)
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

  #dispatch(
    target: DispatchTarget,
    pending: Array<[string, JsonRpcRequest]>,
    sessionId: string,
    server: SessionServer,
    extra: MessageExtra,
    interrupted?: Interrupted,
  ) {
    const keepState = (request: JsonRpcRequest, response: JsonRpcResponse) =>
      this.#keepState(sessionId, server, request, response)
    for (const [dispatched, request] of pending) {
      // As the journal has it now: the dispatch notes what will run.
      const kind = target instanceof Call ? target.handlerOf(request) : 'plain'
      const attempt = target instanceof Call ? target.attempt + 1 : 2
      const again = () => this.#mayRunAgain(server, request, { attempt, interrupted: kind }, extra)
      const filter = stateKey(request) === undefined ? undefined : keepState
      server.dispatch(dispatched, { request, target, filter, mayRunAgain: again, interrupted }, extra)
    }
  }

  /** Lets a handler end its own stream and make the client come back for the rest; only for clients that can. */
  #closersOf({ scope, id }: { scope: string; id: string }, protocolVersion: string): MessageExtra {
    if (!canPrime(protocolVersion)) return {}
    const { closeStreams } = this.#services
    return {
      closeSSEStream: () => closeStreams(scope, `call:${id}`),
      closeStandaloneSSEStream: () => closeStreams(scope, 'out'),
    }
  }

  /** A request that changed the session is answered once the change is stored, so that every node will know of it. */
  async #keepState(
    sessionId: string,
    server: SessionServer,
    request: JsonRpcRequest,
    response: JsonRpcResponse,
  ): Promise<JsonRpcResponse> {
    if (!('result' in response)) return response
    try {
      const version = await this.#putState(sessionId, request)
      if (typeof version !== 'number') {
        return errorResponse(
          request.id,
          ErrorCode.refused,
          'The session keeps as many subscriptions as it may.',
        )
      }
      server.saw(version)
      return response
    } catch (error) {
      this.#services.logger.error({ error, session: shortId(sessionId) }, 'keeping session state failed')
      return errorResponse(
        request.id,
        ErrorCode.internalError,
        'The change could not be stored. Send the request again.',
      )
    }
  }

  async #putState(sessionId: string, message: JsonRpcMessage) {
    const entry = { key: stateKey(message) ?? '', data: JSON.stringify(message), nonce: randomId() }
    if (entry.data.length > MAX_STATE_CHARS) return 'limit'
    return this.#store.putState(sessionId, entry, { maxKeys: this.#services.settings.maxStateEntries })
  }

  /** Hands a notification to the server object, new state after all older state. The client need not wait for that. */
  async #inform(sessionId: string, message: JsonRpcNotification, extra: MessageExtra, version = 1) {
    const isState = version > 1
    try {
      const known = isState ? version - 1 : version
      // What the client says needs no newer values: the next request sees to them.
      const server = await this.servers.get(sessionId, { version: known, values: 0 }, extra)
      if (isState && server.version >= version) return
      server.notify(message, extra)
      if (isState) server.saw(version)
      await server.settled()
    } catch (error) {
      this.#services.logger.warn(
        { error, session: shortId(sessionId) },
        'a notification waits for the next request',
      )
    }
  }

  async #cancel(sessionId: string, { params }: JsonRpcNotification) {
    const requestId = params?.['requestId']
    if (typeof requestId !== 'string' && typeof requestId !== 'number') return
    const requestKey = requestKeyPrefix(requestId)
    const given = params?.['reason']
    const reason =
      typeof given === 'string' ? given.slice(0, MAX_REASON_CHARS) : 'The client cancelled the request.'
    // A request that is not journaled is known to its node alone; if the word gets lost, it only runs in vain.
    await this.#store.publish(sessionId, CANCELLED, requestKey)
    const callIds = await this.#store.findCalls(sessionId, requestKey)
    await Promise.all(
      callIds.map((id) =>
        this.#leave(sessionId, id, { kind: 'cancelled', requestKey, reason }, { ifOpen: id }),
      ),
    )
  }

  /** The client's progress on a question goes to whoever asked, if somebody listens now. */
  async #progress(sessionId: string, message: JsonRpcNotification) {
    const asker = askerOf(message.params?.['progressToken'])
    const json = asker === undefined ? '' : encodeJson(message)
    if (asker === undefined || json.length > MAX_PROGRESS_CHARS) return
    await this.#store.publish(sessionId, progressTopic(asker), json)
  }

  /** `which`: an inbox takes only what somebody waits for. */
  #leave(sessionId: string, inbox: string, item: InboxItem, which: { answers?: string; ifOpen?: string }) {
    const { maxInboxBytes: maxBytes } = this.#services.settings
    const limits = { maxLength: MAX_INBOX, maxBytes, whenFull: 'refuse' } as const
    const options = { nonce: randomId(), ...limits, ...which }
    return this.#store.append(sessionId, `call:${inbox}:in`, encodeInboxItem(item), options)
  }

  async #refuse<T>(server: SessionServer, outcome: T): Promise<T> {
    await server.close()
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
