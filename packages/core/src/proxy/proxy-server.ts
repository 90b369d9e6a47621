import { setTimeout as sleep } from 'node:timers/promises'
import type { ProxySession, ResumePoint } from '../call/record.js'
import { isOver } from '../call/journal.js'
import { digest, randomId } from '../ids.js'
import { isRequest, isResponse } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcNotification, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { linkedWithin } from '../linked-signal.js'
import { shortId } from '../logger.js'
import { inSession } from '../protocol.js'
import type { Logger } from '../logger.js'
import type { ProxyObject } from '../session/server-factory.js'
import type { DispatchExtra, SendOptions, ServerTransport, MessageExtra } from '../session/transport.js'
import type { StateEntry } from '../store/store.js'
import { Channel, hasLost } from './channel.js'
import type { Backend } from './channel.js'
import { headerOf } from './kept-header.js'
import { OneWay } from './one-way.js'
import type { Outgoing } from './one-way.js'
import { ProxyCall } from './proxy-call.js'
import type { Relay } from './proxy-call.js'
import { ProxyQuestions } from './proxy-questions.js'
import type { Asking } from './proxy-questions.js'
import type { Link } from './link.js'
import { outside } from './outside.js'
import { broken, unasked } from './refusal.js'
import { ServerSession, UNUSABLE } from './server-session.js'
import { StandaloneQuestions } from './standalone-questions.js'
import type { StandaloneQuestionsServices } from './standalone-questions.js'
import { StandaloneStream } from './standalone-stream.js'

export type ProxyServices = {
  backend: Backend
  /** Where nodes agree on the session to use; only for a backend that is shared. */
  link: Link | undefined
  /** Where it is kept what a server that all nodes share asks outside of its requests. */
  asking?: Pick<StandaloneQuestionsServices, 'scope' | 'store' | 'standalone'> | undefined
  /** What the session's client has told, for a server that has lost it. */
  readState: () => Promise<readonly StateEntry[]>
  /** It serves one request of a client without a session: the server's session is nobody else's, and ends with it. */
  alone?: boolean
  /** What it has asked the server for beside, and would ask a new session for. */
  keep?: (request: JsonRpcRequest) => void
  logger: Logger
  graceMs: number
  maxRuns: number
  maxBytes: number
}

/** A notification, an answer or `initialize` should be taken within this time; what follows waits for it. */
const TAKEN_WITHIN_MS = 20_000
/** How long a session that ends waits for that. */
const TOLD_WITHIN_MS = 1000

/**
 * The server object of a session whose server is behind HTTP: a client of it, on the inside of a session server.
 *
 * It keeps no promises of its own. Ids, journals, takeovers and what was sent before are the session server's and the call's;
 * it carries their messages there and back, and finds the server's session again when one side has lost it.
 */
export class ProxyServer implements ProxyObject, Relay {
  readonly sessionless = false
  readonly shared: boolean
  readonly channel: Channel
  readonly graceMs: number
  readonly maxRuns: number
  readonly maxBytes: number
  readonly #services: ProxyServices
  readonly #calls = new Map<string, ProxyCall>()
  readonly #questions = new ProxyQuestions()
  /** Of a server that is asked by other nodes as well. */
  readonly #standaloneQuestions: StandaloneQuestions | undefined
  readonly #stream: StandaloneStream
  readonly #session: ServerSession
  readonly #oneWay: OneWay
  readonly #closed = new AbortController()
  #saidUnasked = false
  #isDiscarded = false
  /** Another node goes on with what runs in the server's session. */
  #isLeft = false
  #transport!: ServerTransport
  /** Of the client's newest request; what is sent for no request in particular comes from the same client. */
  #extra: MessageExtra = {}

  constructor(services: ProxyServices) {
    this.#services = services
    this.channel = new Channel(services.backend)
    this.graceMs = services.graceMs
    this.maxRuns = services.maxRuns
    this.maxBytes = services.maxBytes
    this.shared = services.backend.shared
    this.#session = new ServerSession({
      ...services,
      sessionId: () => this.#transport.sessionId ?? '',
      channel: this.channel,
      post: (message, session, extra) => this.#post(message, session, extra),
      reopen: (session) => this.#stream.reopen(session),
      taken: () => this.#oneWay.taken,
      extra: () => this.#extra,
      warn: (error, message) => this.#warn(error, message),
    })
    this.#stream = new StandaloneStream({
      channel: this.channel,
      maxBytes: this.maxBytes,
      complain: (error) => this.complain(error),
      session: () => this.session,
      ping: (session) => this.#ping(session),
      revive: (stale) => this.revive(stale, this.#extra),
      extra: () => this.#extra,
      deliver: (message, session, event) => this.#deliverStandalone(message, session, event),
      heard: async (session) => {
        this.#seeTo(this.#standaloneQuestions?.tellLeft(session))
        return services.link?.heard(session)
      },
      hear: (session, event) => services.link?.hear(session, event),
    })
    this.#oneWay = new OneWay({
      graceMs: this.graceMs,
      shared: this.shared,
      closed: this.#closed.signal,
      session: () => this.session,
      post: (message, session, extra) => this.#post(message, session, extra),
      isLost: (session, answer) => hasLost(session, answer, () => this.#ping(session)),
      revive: (stale, extra) => this.revive(stale, extra),
      fail: (call, reason) => this.#failUnanswered(call, reason),
      warn: (error, message) => this.#warn(error, message),
    })
    if (!services.asking) return
    this.#standaloneQuestions = new StandaloneQuestions({
      ...services.asking,
      tell: (outgoing) => this.#oneWay.send(outgoing, () => this.#extra),
      complain: (error) => this.#complainOfQuestion(error),
      postpone: (error) => this.#postpone(error),
      closed: this.#closed.signal,
    })
  }

  get session() {
    return this.#session.current
  }

  async connect(transport: ServerTransport) {
    this.#transport = transport
    transport.onmessage = (message: JsonRpcMessage, extra: DispatchExtra = {}) => this.#take(message, extra)
  }

  async close() {
    // What was said last is part of what it was asked for.
    if (this.#services.alone)
      await Promise.race([this.#oneWay.taken, sleep(TOLD_WITHIN_MS, undefined, { ref: false })])
    this.#closed.abort()
    const heard = this.#stream.close()
    for (const call of this.#calls.values()) call.stop()
    // The session of an upstream goes on: other nodes use it too, and this one may come back to it.
    const isUseless = this.#isDiscarded || (this.#services.alone && !this.#isLeft)
    if (this.shared && !isUseless) return
    await Promise.all([this.#oneWay.taken, heard])
    await outside(() => this.#end(this.session)).catch(() => undefined)
  }

  async #end(session: ProxySession) {
    await this.channel.delete(session, this.#extra)
  }

  renew(extra: MessageExtra) {
    if (!this.#isNewer(extra)) return
    const isOther = headerOf('authorization', extra) !== headerOf('authorization', this.#extra)
    this.#extra = extra
    if (isOther) this.#stream.renewed()
  }

  /** A call that was taken over has at most a token that was kept; the client itself has the newest. What came first may get here last. */
  #isNewer({ request, arrival = 0, url, authInfo }: MessageExtra) {
    const known = this.#extra
    return request ? arrival >= (known.arrival ?? 0) : !known.request && (url ?? authInfo) !== undefined
  }

  extraOf(call: ProxyCall) {
    return this.#extra.request ? this.#extra : call.extra
  }

  discard() {
    this.#isDiscarded = true
  }

  listen(open: boolean) {
    if (open) this.#stream.open()
    else void this.#stream.close()
  }

  heard() {
    return this.#stream.opened
  }

  get isTelling() {
    return this.#standaloneQuestions?.isTelling ?? false
  }

  clientSaid(asker: string, message: JsonRpcMessage) {
    this.#seeTo(this.#standaloneQuestions?.said(asker, message))
  }

  #seeTo(told: Promise<void> | undefined) {
    told?.catch((error: unknown) => this.#postpone(error))
  }

  #postpone(error: unknown) {
    this.#warn(error, 'an answer to a question of the server has to wait')
  }

  letGo(requestId: string) {
    this.#isLeft = true
    this.#calls.get(requestId)?.stop()
  }

  hasSeen(version: number) {
    return this.#session.hasSeen(version)
  }

  saw(version: number) {
    this.#session.saw(version)
  }

  settled() {
    return this.#session.settled()
  }

  async revive(stale: ProxySession, extra: MessageExtra) {
    try {
      return await this.#session.revive(stale, extra)
    } catch (error) {
      this.#warn(error, 'a session of the server could not be begun again')
      throw error
    }
  }

  probe(): JsonRpcRequest {
    return { jsonrpc: '2.0', id: randomId(), method: 'ping' }
  }

  refused() {
    // It speaks the version of its session.
  }

  taken() {
    // What it answers may still be a refusal in another version.
  }

  complain(error: Error) {
    this.#warn(error, UNUSABLE)
  }

  async deliver(message: JsonRpcMessage, call: ProxyCall, event: string | undefined) {
    if (isResponse(message)) return
    call.extra.onHead?.()
    const relatedRequestId = call.request.id
    const place = event !== undefined && this.shared ? { event } : undefined
    try {
      if (isRequest(message)) {
        const token = message.params?._meta?.['progressToken'] as string | number | undefined
        const origin = place && { ...place, id: message.id, ...(token !== undefined && { token }) }
        const from = { session: call.session, call }
        await this.#sendQuestion(message, from, { relatedRequestId, ...(origin && { origin }) })
      } else {
        if (await this.#withdrawsOther(message, call.session, event)) return
        const sent = this.#withdrawn(message, call.session)
        await this.#transport.send(sent, { relatedRequestId, ...(place && { origin: place }) })
      }
    } catch {
      // The call has ended, or moved on: nobody waits for the rest.
      call.stop()
    }
  }

  async respond(call: ProxyCall, response: JsonRpcResponse) {
    await this.#transport.send(response).catch(() => undefined)
    call.extra.onHead?.()
    call.end()
  }

  async mark({ request, session, wireId }: ProxyCall, event: string | undefined) {
    if (!this.shared) return
    const begun = { session, wireId, ...(event !== undefined && { event }) }
    await this.#transport.record(String(request.id), { begun }).catch(() => undefined)
  }

  async startOver(call: ProxyCall) {
    if (!(await this.#transport.startOver(String(call.request.id)).catch(() => false))) return false
    // It may run still; then it runs in vain.
    this.#callOff(call, 'The request is sent again.')
    return true
  }

  #callOff(call: ProxyCall, reason: string) {
    const params = { requestId: call.wireId, reason }
    const message = { jsonrpc: '2.0', method: 'notifications/cancelled', params } as const
    void this.#post(message, call.session, this.extraOf(call)).catch(() => undefined)
  }

  #failUnanswered(call: ProxyCall, reason: string) {
    if (this.#calls.get(String(call.request.id)) !== call) return
    this.#callOff(call, 'The answer to a question was refused.')
    void call.fail(`did not take the answer to its question: ${reason}`)
  }

  #ping(session: ProxySession) {
    return this.channel.ask(session, this.probe(), this.#extra, this.#closed.signal)
  }

  #take(message: JsonRpcMessage, extra: DispatchExtra) {
    this.renew(extra)
    if (isRequest(message)) {
      this.#ask(message, extra).catch((error: unknown) => this.#fail(message, error))
      return
    }
    const outgoing = this.#outgoing(message)
    if (!outgoing) return
    const { call, ends } = outgoing
    const extraNow = () => (extra.request ? extra : call ? this.extraOf(call) : this.#extra)
    const taken = this.#oneWay.send(outgoing, extraNow)
    if (ends) void taken.then(() => call?.stop())
  }

  async #ask(request: JsonRpcRequest, extra: DispatchExtra) {
    const call = new ProxyCall(this, this.#services.alone ? inSession(request) : request, extra)
    this.#calls.set(String(request.id), call)
    try {
      await this.#oneWay.taken
      if (this.#closed.signal.aborted) return
      if (request.method === 'resources/subscribe') this.#services.keep?.(request)
      if (request.method === 'initialize')
        return await this.#transport.send(await this.#session.initialize(request, extra))
      const resume = extra.interrupted?.resume
      if (resume) this.#recall(call, resume)
      await call.run()
    } finally {
      this.#calls.delete(String(request.id))
      this.#questions.over(call)
      // A session that an earlier node had begun for it.
      if (this.#services.alone && !this.#isLeft && call.session.id !== this.session.id)
        void outside(() => this.#end(call.session)).catch(() => undefined)
    }
  }

  /** Answers to what was asked through another node find the server's question again. */
  #recall(call: ProxyCall, { asked, session }: ResumePoint) {
    for (const [wireId, question] of asked) {
      const here = this.#questions.restore({ ...question, session, call })
      this.#transport.recall(String(call.request.id), wireId, here)
    }
  }

  /** A one-way message in the server's terms; `undefined`: nobody waits for it. */
  #outgoing(message: JsonRpcNotification | JsonRpcResponse): Outgoing | undefined {
    if (isResponse(message)) return this.#questions.incoming(message)
    if (message.method === 'notifications/cancelled') {
      const call = this.#calls.get(String(message.params?.['requestId']))
      const params = { ...message.params, requestId: call?.wireId }
      return call && { message: { ...message, params }, session: call.session, call, ends: true }
    }
    const progress =
      message.method === 'notifications/progress' ? this.#questions.incoming(message) : undefined
    return progress ?? { message }
  }

  #post(message: JsonRpcMessage, session: ProxySession, extra: MessageExtra) {
    const signal = linkedWithin(TAKEN_WITHIN_MS, this.#closed.signal)
    return this.channel.post(session, message, extra, signal)
  }

  /** The next node may hear it again, if its client moves on before this one could say how far it has heard. */
  async #deliverStandalone(message: JsonRpcMessage, session: ProxySession, place: string | undefined) {
    if (isResponse(message)) return
    const named = session.id === undefined ? undefined : place
    try {
      if (await this.#standaloneQuestions?.hear(message, session, named)) return
      if (!isRequest(message)) {
        const once = named === undefined ? {} : { once: digest(`${session.id} ${named}`) }
        return await this.#transport.send(this.#withdrawn(message, session), once)
      }
      // What a server asks that is about to end is answered by nobody.
      if (!this.#closed.signal.aborted) await this.#sendQuestion(message, { session }, {})
    } catch (error) {
      this.#warn(error, 'a standalone message was lost')
    }
  }

  /** A call may withdraw what was asked outside of calls. */
  async #withdrawsOther(message: JsonRpcNotification, session: ProxySession, place: string | undefined) {
    const { method, params } = message
    const isOwn =
      method !== 'notifications/cancelled' || this.#questions.isAsked(params?.['requestId'], session)
    return !isOwn && (await this.#standaloneQuestions?.hear(message, session, place).catch(() => false))
  }

  /** A question that can't be asked is answered with the reason: whoever asked would wait for ever. */
  async #sendQuestion(message: JsonRpcRequest, from: Asking, options: SendOptions) {
    const question = this.#questions.outgoing(message, from)
    try {
      await this.#transport.send(question, options)
    } catch (error) {
      if (isOver(error)) throw error
      this.#complainOfQuestion(error)
      this.#take(unasked(question.id, error), {})
    }
  }

  #complainOfQuestion(error: unknown) {
    if (!this.#saidUnasked) this.#warn(error, 'a question of the server could not be asked')
    this.#saidUnasked = true
  }

  #withdrawn(message: JsonRpcNotification, session: ProxySession): JsonRpcNotification {
    if (message.method !== 'notifications/cancelled') return message
    return { ...message, params: this.#questions.withdrawn(message.params, session) }
  }

  #fail(request: JsonRpcRequest, error: unknown) {
    this.#warn(error, 'a request to the server failed')
    const response = broken(request.id, 'could not be asked')
    this.#transport.send(response).catch(() => undefined)
  }

  #warn(error: unknown, message: string) {
    if (this.#closed.signal.aborted) return
    this.#services.logger.warn({ error, session: shortId(this.#transport.sessionId ?? '') }, message)
  }
}
