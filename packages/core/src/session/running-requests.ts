import { Call } from '../call/call.js'
import type { DispatchTarget } from '../call/call.js'
import { isOver } from '../call/journal.js'
import type { ProxyRecord } from '../call/record.js'
import { UNRECORDABLE } from '../call/request-log.js'
import type { RequestLog } from '../call/request-log.js'
import { followScopes } from '../context/async-scope.js'
import { messageOf, UnrecordableError } from '../errors.js'
import { errorResponse } from '../json-rpc.js'
import type { JsonRpcError, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import type { Logger } from '../logger.js'
import { httpAnswerOf } from '../proxy/refusal.js'
import { endingOf } from '../signals/events.js'
import type { CallOutcome } from '../signals/events.js'
import type { Observed } from '../signals/observed.js'
import { unrecordable } from './recovery.js'
import type { Interrupted } from './transport.js'

export type Filter = (
  request: JsonRpcRequest,
  response: JsonRpcResponse,
  log: RequestLog,
) => Promise<JsonRpcResponse>
export type Dispatch = {
  /** Where its call is, or would be. */
  scope: string
  request: JsonRpcRequest
  caller: RequestLog['caller']
  target: DispatchTarget
  /** Makes of the response what is recorded. */
  filter?: Filter | undefined
  /** Whether the request may be run again although it may have run. */
  mayRunAgain: () => Promise<boolean>
  interrupted?: Interrupted | undefined
}
/** A class, not a literal: see CONTRIBUTING.md. */
class Running {
  readonly request: JsonRpcRequest
  readonly target: DispatchTarget
  readonly filter: Filter | undefined
  readonly mayRunAgain: () => Promise<boolean>
  readonly unfollow = followScopes()

  constructor(
    { request, target, filter, mayRunAgain }: Dispatch,
    readonly log: RequestLog,
    readonly observed: Observed<'call'> | undefined,
  ) {
    this.request = request
    this.target = target
    this.filter = filter
    this.mayRunAgain = mayRunAgain
  }
}
/** `moved`: the request goes on at another node. */
type Told = {
  onStopped: (dispatchId: string, reason: string, moved: boolean) => void
  /** Of each run, when it is over. */
  onOver: (log: RequestLog) => void
  /** Whether no node has any more what a request asks for: what says so is its answer. */
  isWithdrawn: (request: JsonRpcRequest) => boolean
  /** Nothing runs any more. */
  onIdle: (() => void) | undefined
}

/** The client's requests that a server object is running, by the ids under which it knows them. */
export class RunningRequests {
  readonly #running = new Map<string, Running>()
  readonly #logger: Logger
  readonly #told: Told

  constructor(logger: Logger, told: Told) {
    this.#logger = logger
    this.#told = told
  }

  get size() {
    return this.#running.size
  }

  get targets(): Iterable<DispatchTarget> {
    return new Set([...this.#running.values()].map(({ target }) => target))
  }

  requestOf(id: string): JsonRpcRequest | undefined {
    return this.#running.get(id)?.request
  }

  targetOf(id: string): DispatchTarget | undefined {
    return this.#running.get(id)?.target
  }

  logOf(id: string): RequestLog | undefined {
    return this.#running.get(id)?.log
  }

  /** Whether it is the same run that is still running. */
  isRunning(id: string, log: RequestLog) {
    return this.#running.get(id)?.log === log
  }

  begin(id: string, dispatch: Dispatch, log: RequestLog, observed: Observed<'call'> | undefined) {
    this.#running.set(id, new Running(dispatch, log, observed))
  }

  async record(id: string, record: ProxyRecord) {
    const target = this.targetOf(id)
    if (target instanceof Call) await target.record(record)
    // What is asked must be found again.
    else if (target && (target.isJournaled || 'asks' in record))
      await (await target.journaled()).record(record)
  }

  async startOver(id: string) {
    const running = this.#running.get(id)
    if (!running || !(await running.mayRunAgain()) || !this.#running.has(id)) return false
    if (running.target.isJournaled) await (await running.target.journaled()).startOver()
    return true
  }

  async respond(id: string, response: JsonRpcResponse) {
    const running = this.#running.get(id)
    if (!running || this.#isRefused(running)) return
    running.unfollow()
    try {
      running.log.answered?.('result' in response && response.result['isError'] !== true)
      const answer = await this.#record(id, running, response)
      running.observed?.end({ ...running.log.run, ...endingOf(answer) })
    } finally {
      this.#remove(id, running)
      running.observed?.end(endOf(running.log, 'moved'))
    }
  }

  /** What a handler has begun is not ended by an answer that it never gave: the call stops here, and other code may go on with it. */
  #isRefused({ request, log }: Running): boolean {
    const { refused } = log
    if (!refused || this.#told.isWithdrawn(request)) return false
    log.diverge(refused)
    return true
  }

  /** A call whose handler has ended must end: whatever goes wrong between that and the journal is the answer. */
  async #record(id: string, { request, target, filter, log }: Running, response: JsonRpcResponse) {
    try {
      const answer = filter ? await filter(request, response, log) : response
      if (target instanceof Call && httpAnswerOf(response)?.isUnrun) target.mayComeAgain()
      await target.respond(id, answer)
      return answer
    } catch (error) {
      if (isOver(error) || !target.open) throw error
      tellUnrecordable(log, error)
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
  async fail(id: string, error: unknown) {
    const running = this.#running.get(id)
    if (!running || isOver(error)) return
    const { request, target, log } = running
    tellUnrecordable(log, error)
    const answer = unrecordable(request, asError(error))
    try {
      await target.respond(id, answer)
      running.observed?.end({ ...log.run, ...endingOf(answer) })
    } catch (again) {
      if (!isOver(again)) this.#logger.error({ error: again }, 'a call could not be ended')
      if (!isOver(again)) target.abandon('Its journal takes nothing.')
    }
    this.stop(id, answer.error.message)
  }

  async failAll(reason: Error) {
    await Promise.all([...this.#running.keys()].map((id) => this.fail(id, reason)))
  }

  /** Its handler is told to stop, and answers nothing any more. */
  stop(id: string, reason: string, moved = false) {
    const running = this.#running.get(id)
    if (!running) return
    this.#running.delete(id)
    this.#told.onOver(running.log)
    running.log.stopFor(reason)
    running.unfollow()
    running.observed?.end(endOf(running.log, moved ? 'moved' : 'cancelled'))
    this.#told.onStopped(id, reason, moved)
    this.#tellIfIdle()
  }

  #remove(id: string, { log }: Running) {
    this.#running.delete(id)
    this.#told.onOver(log)
    this.#tellIfIdle()
  }

  #tellIfIdle() {
    if (this.#running.size === 0) this.#told.onIdle?.()
  }

  /** The server object leaves this node: what runs goes on elsewhere. */
  abandon(reason: string) {
    for (const { target, log, observed, unfollow } of this.#running.values()) {
      unfollow()
      log.stopFor(reason)
      target.abandon(reason)
      observed?.end(endOf(log, 'moved'))
    }
  }
}

const endOf = ({ run }: RequestLog, outcome: CallOutcome) => ({ ...run, outcome, errorCode: undefined })

const asError = (error: unknown) => (error instanceof Error ? error : new Error(messageOf(error)))

function tellUnrecordable(log: RequestLog, error: unknown) {
  // What a `toJSON` or a getter threw tells where; what we made of it does not.
  const thrown = error instanceof UnrecordableError ? (error.cause ?? error) : error
  log.tell('error', { error: thrown }, UNRECORDABLE)
}

/** The error that a handler threw, without what it carries along. */
function withoutData(response: JsonRpcResponse): JsonRpcError | undefined {
  if (!('error' in response)) return undefined
  const { code, message } = response.error as { code?: unknown; message?: unknown }
  if (typeof code !== 'number' || typeof message !== 'string') return undefined
  return errorResponse(response.id ?? null, Math.trunc(code), message)
}
