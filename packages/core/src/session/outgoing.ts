import type { CallServer } from '../call/call-server.js'
import type { DispatchTarget } from '../call/call.js'
import { JournalClosedError } from '../call/journal.js'
import type { Origin } from '../call/record.js'
import { RequestLog } from '../call/request-log.js'
import { currentScope } from '../context/async-scope.js'
import { ReplayDivergedError } from '../context/errors.js'
import { ReplayLog } from '../context/replay-log.js'
import { currentLog } from '../context/run-context.js'
import { isRequest, isResponse } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcNotification, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import type { Logger } from '../logger.js'
import { isUnwantedLog } from '../protocol.js'
import type { OwnRequests } from './own-requests.js'
import type { Questions } from './questions.js'
import { isListChanged } from './registered.js'
import type { ListChanged, Registered, RegistrationChange } from './registered.js'
import type { RunningRequests } from './running-requests.js'
import type { Standalone } from './standalone.js'
import type { StateReads } from './state-reads.js'
import type { SendOptions } from './transport.js'

type Parts = {
  /** Who asks what belongs to no call. */
  server: CallServer & { readonly id: string }
  running: RunningRequests
  own: OwnRequests
  questions: Questions
  registered: Registered
}
export type OutgoingServices = {
  standalone: Standalone
  logger: Logger
  /** What the factory has read of the session's state. */
  reads: StateReads
  /** Keeps for the session what a call has changed in it. Never rejects. */
  keep: (change: RegistrationChange) => Promise<void>
  /** A call has changed what the object has registered. */
  onRegistered?: () => void
  /** Lists of which it was said that what a call has changed in them will be lost. */
  saidLost: Set<string>
}

/** Where each message of a server object goes: to a call, to the standalone stream, or to whoever asked for it here. */
export class OutgoingMessages {
  readonly #parts: Parts
  readonly #services: OutgoingServices
  #asked = 0
  #keeping: Promise<unknown> | undefined
  #inbox: ReturnType<Standalone['openInbox']> | undefined

  constructor(parts: Parts, services: OutgoingServices) {
    this.#parts = parts
    this.#services = services
  }

  async send(message: JsonRpcMessage, options?: SendOptions) {
    const { own, running } = this.#parts
    if (isResponse(message)) return this.#sendResponse(message)
    const log = currentLog()
    const request =
      options?.relatedRequestId === undefined
        ? log?.request
        : running.requestOf(String(options.relatedRequestId))
    if (request && isUnwantedLog(message, request)) return
    if (log instanceof ReplayLog) return sendInReplay(log, message)
    const related = options?.relatedRequestId
    const id = String(related)
    // What belongs to a request of our own has no client to go to.
    if (related !== undefined && own.has(id) && !isRequest(message)) return
    const target = related === undefined ? undefined : running.targetOf(id)
    if (related !== undefined && !target) {
      if (isRequest(message)) throw new JournalClosedError()
      return
    }
    if (isRequest(message)) {
      const asker = target ? running.logOf(id) : log
      return this.#sendQuestion(message, target ?? currentTarget(), asker, options?.origin)
    }
    if (message.method === 'notifications/cancelled')
      return this.#sendWithdrawal(message, target ?? currentTarget())
    if (target) return this.#sendInCall(id, target, message, options?.origin)
    if (isListChanged(message.method)) await this.#keepChanges(message.method, log instanceof RequestLog)
    // What is sent while old state is replayed was sent when it was new.
    const { replay } = currentScope()
    if (replay && !replay.over) return
    await this.#sendOutsideOfCalls(message, options?.once)
  }

  /** Nobody is there any more to whom the client's answers could go. */
  close() {
    const { questions, server } = this.#parts
    this.#inbox?.end(questions.unanswered.filter((question) => question.startsWith(`${server.id}.`)))
  }

  /** What a handler says after its call has ended goes nowhere. It must not fail: nobody may be waiting for it, and that would end the process. */
  async #sendInCall(id: string, target: DispatchTarget, message: JsonRpcMessage, origin?: Origin) {
    try {
      await target.send(message, undefined, origin)
    } catch (error) {
      await this.#parts.running.fail(id, error)
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

  async #sendQuestion(
    request: JsonRpcRequest,
    target: DispatchTarget | undefined,
    asker: object | undefined,
    origin?: Origin,
  ) {
    const { questions } = this.#parts
    try {
      const outgoing = (wireId: string, asked?: boolean) => questions.outgoing(request, wireId, asked, asker)
      if (target) await target.ask(request, outgoing, origin)
      else await this.#askOutsideOfCalls(request)
    } catch (error) {
      questions.forget(request)
      throw error
    }
  }

  async #askOutsideOfCalls(request: JsonRpcRequest) {
    const { questions, server } = this.#parts
    const { standalone } = this.#services
    this.#inbox ??= standalone.openInbox(server.id, server)
    await standalone.send(questions.outgoing(request, `${server.id}.${++this.#asked}`))
  }

  async #sendWithdrawal(message: JsonRpcNotification, target: DispatchTarget | undefined) {
    const params = this.#parts.questions.withdrawn(message.params)
    if (params) await (target ?? this.#services.standalone).send({ ...message, params })
  }

  async #sendResponse(response: JsonRpcResponse) {
    const { own, running } = this.#parts
    if (own.take(response)) return
    // The client asks the next node as soon as it has its answer.
    if (this.#keeping) await this.#keeping
    await running.respond(String(response.id), response)
  }

  /** What a call changes in the lists is its session's. What happens outside of calls happens in each server object. */
  async #keepChanges(method: ListChanged, inCall: boolean) {
    const { kept, lost } = this.#parts.registered.changes(method)
    if (!inCall || kept.length + lost.length === 0) return
    const { onRegistered } = this.#services
    if (onRegistered) return onRegistered()
    if (lost.length > 0) this.#warnOfLoss(method, lost)
    if (kept.length === 0) return
    const keeping = Promise.all([this.#keeping, ...kept.map((change) => this.#services.keep(change))])
    this.#keeping = keeping
    await keeping
    if (this.#keeping === keeping) this.#keeping = undefined
  }

  /** The factory may make it of the session's state. */
  #warnOfLoss(method: ListChanged, names: readonly string[]) {
    const { reads, saidLost, logger } = this.#services
    if (reads.any || saidLost.has(method)) return
    saidLost.add(method)
    logger.warn({ lost: names.slice(0, 3) }, LOST)
  }
}

const LOST =
  'a call has added, renamed or updated tools, prompts or resources of its session. That is lost on other nodes, and here ' +
  'once the session was idle: keep what it depends on in `ctx.state`, and let the factory read it from `session.state`'

/** The call whose handler is running, if it can still send. A question asked there belongs to that call, related or not. */
function currentTarget() {
  const log = currentLog()
  return log instanceof RequestLog && log.target.open ? log.target : undefined
}

/** What a handler sends with the SDK itself while it is replayed for comparison goes nowhere. */
async function sendInReplay(replay: ReplayLog, message: JsonRpcMessage) {
  if (isRequest(message)) throw new ReplayDivergedError()
  await replay.send(message)
}
