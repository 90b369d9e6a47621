import { Call } from '../call/call.js'
import type { DispatchTarget } from '../call/call.js'
import { DeferredCall } from '../call/deferred-call.js'
import type { Calls, TakenOver } from '../call/calls.js'
import type { CallRequest } from '../call/new-call.js'
import type { BegunHandler } from '../call/record.js'
import { ErrorCode, errorResponse } from '../json-rpc.js'
import type { Caller } from '../context/call-log.js'
import type { JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { shortId } from '../logger.js'
import { isAlone, isSessionless } from '../protocol.js'
import type { Logger } from '../logger.js'
import type { Settings } from '../settings.js'
import type { TakeoverOutcome } from '../signals/events.js'
import { BEGINNING } from '../store/store.js'
import type { Admission, LogName, Store, StoredSession } from '../store/store.js'
import { startedText } from '../context/task-tools.js'
import { describeTask } from './describe-task.js'
import { handleForm, lackingForm, sessionlessForm } from './envelope.js'
import type { TasksOption } from './task-mode.js'
import { gaveUp, isOfHandler, mayRunAgain, outcomeUnknown } from './recovery.js'
import type { RecoveredCall } from './recovery.js'
import type { RequestStates } from './request-states.js'
import type { ProxyOrigin } from './server-factory.js'
import { isSealed } from '../errors.js'
import { OtherServerError, ServerRefusedError } from './session-errors.js'
import type { SessionServer } from './session-server.js'
import type { SharedServers } from './shared-servers.js'
import type { SessionServers } from './session-servers.js'
import { putState, stateChange, stateKey } from './state.js'
import { canPrime } from '../protocol.js'
import type { Dispatch } from './running-requests.js'
import { withClosers } from './transport.js'
import type { Closers, Interrupted, MessageExtra } from './transport.js'

export type RunnerServices = {
  store: Store
  calls: Calls
  logger: Logger
  settings: Settings
  /** Set if the server objects stand for a server behind HTTP. */
  proxy: ProxyOrigin | undefined
  requestStates: RequestStates
  /** Of tools that say nothing themselves. */
  taskModes: TasksOption
  recover: ((call: RecoveredCall) => boolean | undefined) | undefined
  callerOf: (principal: string | undefined, authInfo: unknown) => Caller
  /** Whether a call may go on with the code of this node, as `Versions.judge` says. */
  fitsCode: (taken: TakenOver) => Promise<'go on' | 'leave' | 'refuse'>
  /** Ends the streams of a log on this node; their clients come back. */
  closeStreams: (sessionId: string, log: LogName) => void
}

/** Where requests run, and whose they are. */
type RunsOn = {
  scope: string
  principal: string | undefined
  server: SessionServer
  extra: MessageExtra
}

/** `isContinued`: it was parked, and nothing has interrupted it. `isMade`: it was made of a call that has ended, maybe of another version of the tool. */
type InterruptedRun = {
  attempt: number
  interrupted: BegunHandler
  isContinued?: boolean
  isMade?: boolean
}

/** Runs calls on the server objects of their sessions: new ones, and those of nodes that are gone. */
export class Runner {
  readonly #services: RunnerServices
  readonly #servers: SessionServers
  readonly #shared: SharedServers

  constructor(services: RunnerServices, servers: SessionServers, shared: SharedServers) {
    this.#services = services
    this.#servers = servers
    this.#shared = shared
  }

  /** Runs what is left to run of a journaled call. Ends at once; messages and responses go to the journal. */
  run(
    call: Call,
    server: SessionServer,
    { protocolVersion }: Admission,
    { extra, principal }: { extra: MessageExtra; principal: string | undefined },
  ) {
    const all = withClosers(extra, this.#closersOf(call, protocolVersion))
    this.#dispatch(call, call.runOn(server), { scope: call.scope, principal, server, extra: all })
  }

  /** What will run requests of a session on this node, as far as that can be told before they are recorded. */
  handlersOf(sessionId: string, requests: readonly JsonRpcRequest[]): readonly BegunHandler[] {
    const server = this.#servers.peek(sessionId)
    return requests.map((request) => {
      if (!isOfHandler(request)) return 'plain'
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
    const verdict = await this.#services.fitsCode(taken)
    const otherCode = `code of version ${String(runs.version)} has run it`
    if (verdict === 'leave') return this.#return(taken, otherCode)
    if (verdict === 'refuse') return this.#giveBack(taken, otherCode)
    const session = await call.whileStoreFails(() => this.#services.store.readSession(call.scope))
    if (!session) {
      call.abandon('The session does not exist any more.')
      return 'gone'
    }
    const { authInfo, url, mirrored } = request
    const extra: MessageExtra = {
      authInfo,
      mirrored,
      ...this.#closersOf(call, session.protocolVersion),
      ...(url !== undefined && { url }),
    }
    const on = { scope: call.scope, principal: session.principal, extra }
    const server = await this.#serverFor(taken, session, extra)
    if (server === 'of another') return this.#return(taken, 'its session is one of another server')
    if (server === 'refuses') {
      await call.end((interrupted) => outcomeUnknown(interrupted, 'node-gone'))
      return 'unknown'
    }
    if (!server) return this.#giveBack(taken, 'its server object can’t be made here')
    if (this.#services.proxy?.shared && call.attempt > 1) {
      // Whether the upstream goes on with it, and whether it may run it again, shows when it can be reached.
      const { resume } = call.requests.length === 1 ? runs : {}
      if (resume) call.resumes(resume.sent)
      this.#dispatch(call, call.runOn(server), { ...on, server }, resume ? { resume } : {})
      return 'run'
    }
    const requests = call.runOn(server)
    const verdicts = await Promise.all(
      requests.map(([, interrupted]) => {
        const { isContinued } = runs
        const isMade = request.of !== undefined && call.attempt === 1
        const run = { attempt: call.attempt, interrupted: call.handlerOf(interrupted), isContinued, isMade }
        return this.#judge(server, interrupted, run, extra)
      }),
    )
    if (verdicts.includes('elsewhere')) return this.#giveBack(taken, 'no handler here can go on with it')
    let outcome: TakeoverOutcome = 'unknown'
    for (const [place, [dispatched, interrupted]] of requests.entries()) {
      if (verdicts[place] === 'unknown') {
        await call.respond(dispatched, outcomeUnknown(interrupted, 'node-gone'))
        continue
      }
      this.#dispatch(call, [[dispatched, interrupted]], { ...on, server })
      outcome = 'run'
    }
    if (runs.isContinued) logger.debug({ call: shortId(call.id) }, 'goes on with a call that was parked')
    else if (call.attempt > 1)
      logger.info({ session: shortId(call.scope), attempt: call.attempt }, 'took over a call')
    return outcome
  }

  /** Undefined: it can't be made; the log says why. */
  async #serverFor(
    { call }: TakenOver,
    session: StoredSession,
    extra: MessageExtra,
  ): Promise<SessionServer | 'of another' | 'refuses' | undefined> {
    try {
      return await call.whileStoreFails(() => this.#get(call, session, extra))
    } catch (error) {
      if (isSealed(error)) throw error
      if (error instanceof OtherServerError) return 'of another'
      if (error instanceof ServerRefusedError && error.isOfCaller) return 'refuses'
      this.#services.logger.error(
        { error, session: shortId(call.scope) },
        'a call could not be run again here',
      )
      return undefined
    }
  }

  async #get({ scope, requests }: Call, session: StoredSession, extra: MessageExtra) {
    const [request] = requests
    if (!request || !isSessionless(session.protocolVersion)) return this.#servers.get(scope, session, extra)
    const server = await this.#shared.get({ request, scope, principal: session.principal }, extra)
    if (session.server !== undefined && session.server !== server.name) throw new OtherServerError()
    return server
  }

  /** Another node may be able to run it: one that is newer, or has what this one lacks. If none is for long, it ends. */
  async #giveBack(taken: TakenOver, reason: string): Promise<TakeoverOutcome> {
    const { call, runs, claimed } = taken
    // One that was parked is not spent.
    if (runs.divergences.length > 0) return 'parked'
    if (runs.unservedMs(claimed.first) < this.#services.settings.maxUnservedMs)
      return this.#return(taken, reason)
    await call.end((interrupted) => outcomeUnknown(interrupted, 'unserved'))
    return 'unknown'
  }

  #return({ call }: TakenOver, reason: string): TakeoverOutcome {
    this.#services.logger.warn(
      { session: shortId(call.scope), call: shortId(call.id), reason },
      'a call was given back',
    )
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
    { attempt, interrupted, isContinued = false, isMade = false }: InterruptedRun,
    extra: MessageExtra,
  ): Promise<'run' | 'unknown' | 'elsewhere'> {
    if (attempt === 1 && !isContinued && !isMade) return 'run'
    const { method, params } = request
    const isCall = method === 'tools/call'
    const tool = isCall ? await server.findTool(String(params?.['name']), extra) : undefined
    const isMissing = isCall ? !tool : await this.#lacks(server, request, extra)
    // What no node has any more is not looked for.
    const isElsewhere = isMissing && !server.isWithdrawn(request)
    // Nothing has begun to run it.
    if (interrupted === 'none') return isElsewhere ? 'elsewhere' : 'run'
    const recovered = { method, params, tool, interrupted, attempt }
    const given = isContinued || isMade ? undefined : this.#services.recover?.(recovered)
    if (given ?? mayRunAgain(recovered, server.handlerOf(request))) return isElsewhere ? 'elsewhere' : 'run'
    const isForOthers = isMissing ? isElsewhere : interrupted !== 'listed'
    return given === undefined && interrupted !== 'plain' && isForOthers ? 'elsewhere' : 'unknown'
  }

  /** An upstream is the same one for every node. */
  async #lacks(server: SessionServer, request: JsonRpcRequest, extra: MessageExtra) {
    return !this.#services.proxy?.shared && (await server.lacks(request, extra))
  }

  /** Runs requests that are not journaled from the start. */
  runDeferred(request: CallRequest, server: SessionServer, extra: MessageExtra): DeferredCall {
    const deferred = new DeferredCall(this.#services.calls, request, server)
    const { scope, principal } = request
    this.#dispatch(deferred, deferred.pending(), { scope, principal, server, extra })
    return deferred
  }

  #dispatch(
    target: DispatchTarget,
    pending: Array<[string, JsonRpcRequest]>,
    { scope, principal, server, extra }: RunsOn,
    interrupted?: Interrupted,
  ) {
    const caller = this.#services.callerOf(principal, extra.authInfo)
    const keepState: Dispatch['filter'] = (request, response) =>
      this.#keepState(scope, server, request, response)
    const inForm: Dispatch['filter'] = async (request, response, { lacking, callId }) => {
      const serverInfo = server.initialized?.['serverInfo']
      const formed = sessionlessForm(request, lackingForm(response, lacking), serverInfo)
      const state = () => this.#services.requestStates.encode({ scope, callId }, BEGINNING, principal)
      return server.sessionless ? handleForm(request, formed, state) : formed
    }
    if (target instanceof Call) this.#mayBecomeTask(target, server)
    for (const [dispatched, request] of pending) {
      // As the journal has it now: the dispatch notes what will run.
      const kind = target.handlerOf(request)
      const attempt = target instanceof Call ? target.attempt + 1 : 2
      const again = () => this.#mayRunAgain(server, request, { attempt, interrupted: kind }, extra)
      const ofState = stateKey(request) === undefined ? undefined : keepState
      const filter = isAlone(request) ? inForm : ofState
      const dispatch = { scope, request, caller, target, filter, mayRunAgain: again, interrupted }
      server.dispatch(dispatched, dispatch, extra)
    }
  }

  /** A call of a client that knows no tasks becomes one if there are tools by which that can ask for it. */
  #mayBecomeTask(call: Call, server: SessionServer) {
    const [request, ...more] = call.requests
    const plain =
      request && more.length === 0 ? server.plainTaskOf(request, this.#services.taskModes) : undefined
    if (!request || !plain) return
    const { taskAfterMs, taskTtlMs: ttlMs } = this.#services.settings
    const afterMs = plain.mode === 'always' ? 0 : taskAfterMs
    const place = { scope: call.scope, callId: call.id }
    call.becomesTask({ afterMs, ttlMs }, ({ begunAt }) => {
      const about = describeTask(place, { ttlMs, begunAt, changedAt: begunAt, isTask: true }, 'working')
      const content = [{ type: 'text', text: startedText(about, plain.names) }]
      const answer = {
        jsonrpc: '2.0',
        id: request.id,
        result: { content, structuredContent: about },
      } as const
      return isAlone(request) ? sessionlessForm(request, answer, server.initialized?.['serverInfo']) : answer
    })
  }

  /** Lets a handler end its own stream and make the client come back for the rest; only for clients that can. */
  #closersOf({ scope, id }: { scope: string; id: string }, protocolVersion: string): Closers {
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
      const { store, settings } = this.#services
      const entry = stateChange(stateKey(request) ?? '', request)
      const version = await putState(store, sessionId, entry, settings)
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
}
