import { CallStoppedError } from '../context/errors.js'
import { NodeLeavingError } from '../errors.js'
import { requestKeyPrefix } from '../ids.js'
import { encodeMessage } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { dispatchId } from './call-server.js'
import type { Call, DispatchTarget } from './call.js'
import type { CallServer } from './call-server.js'
import { JournalClosedError } from './journal.js'
import type { Outgoing } from './questions.js'
import type { BegunHandler, HandlerKind, Origin } from './record.js'
import { isUnknown } from './unrun-calls.js'
import { callIdFor } from './new-call.js'
import type { CallOutcome, Calls, Opened } from './calls.js'
import type { CallRequest } from './new-call.js'

/** What a handler is told whose request can't be journaled; the client gets its answer as for any other request. */
const STOPPED = {
  attached: 'the same request runs already.',
  unknown: 'the session does not exist any more.',
  limit: 'the session has as many open calls as it may, or as many bytes in their requests.',
}
/** How long a request may take before it is journaled. */
const JOURNAL_AFTER_MS = 1000

/**
 * How a deferred call goes on: with all its answers at once, as a journaled call, or not at all. `caughtUp`: nothing was
 * appended after its request.
 */
export type DeferredOutcome =
  | { status: 'answered'; responses: readonly EncodedResponse[] }
  | ({ status: 'journaled'; caughtUp: boolean } & Omit<Opened, 'status'>)
  | { status: 'cancelled' }
  | { status: 'abandoned' }
  | Exclude<CallOutcome, { status: 'opened' }>

export type EncodedResponse = { message: JsonRpcResponse; json: string }

/** A request that runs before it is journaled. It becomes a journaled call when it sends something before its response, or takes long. */
export class DeferredCall implements DispatchTarget {
  readonly id: string
  readonly requests: readonly JsonRpcRequest[]
  readonly outcome: Promise<DeferredOutcome>
  readonly #calls: Calls
  #request: CallRequest
  readonly #server: CallServer
  readonly #unanswered: Set<string>
  readonly #answers = new Map<string, EncodedResponse>()
  /** Of those that the client has cancelled, why. */
  readonly #cancelled = new Map<string, string>()
  #settle!: (outcome: DeferredOutcome) => void
  #timer: NodeJS.Timeout | undefined
  #journaled: Promise<Call> | undefined
  #settled = false
  #isAbandoned = false
  /** It was tried to journal the request, and nobody knows whether it is. */
  #mayBeOpen = false

  constructor(calls: Calls, request: CallRequest, server: CallServer) {
    this.id = callIdFor(request)
    this.#calls = calls
    this.#request = request
    this.#server = server
    this.requests = request.requests
    this.#unanswered = new Set(this.requests.map((_, index) => dispatchId(this.id, this.requests, index)))
    this.outcome = new Promise((resolve) => {
      this.#settle = (outcome) => {
        clearTimeout(this.#timer)
        this.#settled = true
        if (this.#mayBeOpen) this.#calls.takeBack({ ...this.#request, id: this.id })
        resolve(outcome)
      }
    })
    this.#journalLater()
  }

  pending(): Array<[dispatchId: string, request: JsonRpcRequest]> {
    return this.requests.map((request, index) => [dispatchId(this.id, this.requests, index), request])
  }

  get isJournaled() {
    return this.#journaled !== undefined
  }

  get open() {
    return !this.#settled || this.#journaled !== undefined
  }

  handlerOf(request: JsonRpcRequest): BegunHandler {
    return this.#request.handlers?.[this.requests.indexOf(request)] ?? 'plain'
  }

  /** Its journal will say so from the beginning, if it is not there yet. */
  noteHandler(request: JsonRpcRequest, kind: HandlerKind): Promise<unknown> | undefined {
    if (this.handlerOf(request) === kind) return undefined
    const handlers = this.requests.map((each) => (each === request ? kind : this.handlerOf(each)))
    this.#request = { ...this.#request, handlers }
    // What could not be opened says so when it is.
    return this.#journaled?.then(
      (call) => call.noteHandler(request, kind),
      () => undefined,
    )
  }

  async send(message: JsonRpcMessage, step?: string, origin?: Origin) {
    await (await this.journaled()).send(message, step, origin)
  }

  async ask(question: JsonRpcRequest, outgoing: Outgoing, origin?: Origin) {
    return (await this.journaled()).ask(question, outgoing, origin)
  }

  async journaled() {
    if (!this.open) throw new JournalClosedError()
    return this.#journal()
  }

  async respond(dispatched: string, response: JsonRpcResponse) {
    const [, request] = this.pending().find(([id]) => id === dispatched) ?? []
    if (!request || !this.#unanswered.has(dispatched)) return
    const call = this.#journaled && (await this.#journaled.catch(() => undefined))
    if (call) return call.respond(dispatched, response)
    const message = { ...response, id: request.id }
    const json = encodeMessage(message)
    if (!this.#unanswered.delete(dispatched)) return
    this.#answers.set(dispatched, { message, json })
    this.#settleIfAnswered()
  }

  /** A journaled call hears of it through its inbox, too, unless it was just being opened. */
  cancel(keyPrefix: string, reason: string) {
    const journaled = this.#journaled
    for (const [dispatched, request] of this.pending()) {
      if (requestKeyPrefix(request.id) !== keyPrefix || !this.#unanswered.has(dispatched)) continue
      if (journaled) {
        journaled.then(
          (call) => call.cancel(dispatched, reason),
          () => this.cancel(keyPrefix, reason),
        )
        continue
      }
      this.#unanswered.delete(dispatched)
      this.#cancelled.set(dispatched, reason)
      this.#server.cancel(dispatched, reason)
    }
    if (!journaled) this.#settleIfAnswered()
  }

  #settleIfAnswered() {
    if (this.#settled || this.#answers.size + this.#cancelled.size < this.requests.length) return
    const responses = this.pending().flatMap(([dispatched]) => this.#answers.get(dispatched) ?? [])
    this.#settle(responses.length > 0 ? { status: 'answered', responses } : { status: 'cancelled' })
  }

  abandon() {
    this.#isAbandoned = true
    this.#settleIfAbandoned()
  }

  #settleIfAbandoned() {
    if (this.#isAbandoned && !this.#journaled && !this.#settled) this.#settle({ status: 'abandoned' })
  }

  #journalLater() {
    this.#timer = setTimeout(() => {
      // While the store is away the answer may still come; the next attempt is a second later.
      this.#journal().catch(() => {
        if (!this.#settled) this.#journalLater()
      })
    }, JOURNAL_AFTER_MS)
  }

  #journal(): Promise<Call> {
    if (this.#journaled) return this.#journaled
    const journaled = this.#open()
    this.#journaled = journaled
    journaled.catch((error: unknown) => {
      if (this.#journaled === journaled) this.#journaled = undefined
      this.#mayBeOpen ||= isUnknown(error)
      // A node that leaves opens nothing any more.
      if (error instanceof NodeLeavingError) this.#isAbandoned = true
      this.#settleIfAbandoned()
    })
    return journaled
  }

  async #open(): Promise<Call> {
    const outcome = await this.#calls.open({ ...this.#request, id: this.id })
    // An earlier attempt may have opened it, and not have listed it.
    if (outcome.status !== 'limit') this.#mayBeOpen = false
    if (outcome.status !== 'opened') {
      for (const dispatched of this.#unanswered) this.#server.cancel(dispatched, 'The request cannot go on.')
      this.#unanswered.clear()
      this.#settle(outcome)
      throw new CallStoppedError(STOPPED[outcome.status])
    }
    const { call, first, admission } = outcome
    call.runOn(this.#server)
    for (const [dispatched, reason] of this.#cancelled) call.cancel(dispatched, reason)
    const answers = [...this.#answers]
    this.#answers.clear()
    for (const [dispatched, { message }] of answers) await call.respond(dispatched, message)
    this.#settle({ status: 'journaled', caughtUp: answers.length === 0, call, first, admission })
    return call
  }
}
