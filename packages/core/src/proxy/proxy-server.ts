import { setTimeout as sleep } from 'node:timers/promises'
import type { ProxySession, ResumePoint } from '../call/record.js'
import { isOver } from '../call/journal.js'
import { DurableError } from '../errors.js'
import { digest, randomId } from '../ids.js'
import { ErrorCode, errorResponse, isRequest, isResponse } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcNotification, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { shortId } from '../logger.js'
import { inSession } from '../protocol.js'
import type { Logger } from '../logger.js'
import type { ProxyObject } from '../session/server-factory.js'
import type { DispatchExtra, SendOptions, ServerTransport, MessageExtra } from '../session/transport.js'
import type { StateEntry } from '../store/store.js'
import { drain, mayPass } from './answer.js'
import { Channel } from './channel.js'
import type { Backend } from './channel.js'
import { ProxyCall } from './proxy-call.js'
import type { Relay } from './proxy-call.js'
import { ProxyQuestions } from './proxy-questions.js'
import type { Link } from './link.js'
import { outside } from './outside.js'
import { broken } from './refusal.js'
import { ServerSession, UNUSABLE } from './server-session.js'
import { StandaloneStream } from './standalone-stream.js'

export type ProxyServices = {
  backend: Backend
  /** Where nodes agree on the session to use; only for a backend that is shared. */
  link: Link | undefined
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
const RETRY_MS = 500

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
  readonly #stream: StandaloneStream
  readonly #session: ServerSession
  readonly #closed = new AbortController()
  #saidUnasked = false
  /** Another node goes on with what runs in the server's session. */
  #isLeft = false
  #transport!: ServerTransport
  /** The one-way messages so far were taken; whatever comes later may build on them. */
  #taken: Promise<unknown> = Promise.resolve()
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
      taken: () => this.#taken,
      extra: () => this.#extra,
      warn: (error, message) => this.#warn(error, message),
    })
    this.#stream = new StandaloneStream({
      channel: this.channel,
      maxBytes: this.maxBytes,
      complain: (error) => this.complain(error),
      session: () => this.session,
      revive: (stale) => this.revive(stale, this.#extra),
      extra: () => this.#extra,
      deliver: (message, session, event) => this.#deliverStandalone(message, session, event),
      heard: async (session) => services.link?.heard(session),
      hear: (session, event) => services.link?.hear(session, event),
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
      await Promise.race([this.#taken, sleep(TOLD_WITHIN_MS, undefined, { ref: false })])
    this.#closed.abort()
    this.#stream.close()
    for (const call of this.#calls.values()) call.stop()
    // The session of an upstream goes on: other nodes use it too, and this one may come back to it.
    if (this.shared && (!this.#services.alone || this.#isLeft)) return
    await this.#taken
    await outside(() => this.#end(this.session)).catch(() => undefined)
  }

  async #end(session: ProxySession) {
    await this.channel.delete(session, this.#extra)
  }

  listen(open: boolean) {
    if (open) this.#stream.open()
    else this.#stream.close()
  }

  heard() {
    return this.#stream.opened
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
        await this.#sendQuestion(message, call.session, { relatedRequestId, ...(origin && { origin }) })
      } else {
        const sent = this.#withdrawn(message)
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
    // A session that an earlier node had begun for it.
    const { id } = call.session
    if (this.#services.alone && id !== this.session.id)
      void outside(() => this.#end(call.session)).catch(() => undefined)
    call.end()
  }

  async mark({ request, session, wireId }: ProxyCall, event: string | undefined) {
    if (!this.shared) return
    const begun = { session, wireId, ...(event !== undefined && { event }) }
    await this.#transport.record(String(request.id), { begun }).catch(() => undefined)
  }

  async startOver(call: ProxyCall) {
    const { request, wireId, session, extra } = call
    if (!(await this.#transport.startOver(String(request.id)).catch(() => false))) return false
    // It may run still; then it runs in vain.
    const params = { requestId: wireId, reason: 'The request is sent again.' }
    void this.#post({ jsonrpc: '2.0', method: 'notifications/cancelled', params }, session, extra).catch(
      () => undefined,
    )
    return true
  }

  #take(message: JsonRpcMessage, extra: DispatchExtra) {
    if (extra.request || extra.url !== undefined) this.#extra = extra
    if (isRequest(message)) {
      this.#ask(message, extra).catch((error: unknown) => this.#fail(message, error))
      return
    }
    const outgoing = this.#outgoing(message)
    if (!outgoing) return
    const sent = this.#taken.then(() => this.#sendOneWay(outgoing.message, outgoing.session, extra))
    this.#taken = sent.catch((error: unknown) => this.#warn(error, 'the server did not take a message'))
    if (outgoing.ends) void this.#taken.then(() => outgoing.ends?.stop())
  }

  async #ask(request: JsonRpcRequest, extra: DispatchExtra) {
    const call = new ProxyCall(this, this.#services.alone ? inSession(request) : request, extra)
    this.#calls.set(String(request.id), call)
    try {
      await this.#taken
      if (this.#closed.signal.aborted) return
      if (request.method === 'resources/subscribe') this.#services.keep?.(request)
      if (request.method === 'initialize')
        return await this.#transport.send(await this.#session.initialize(request, extra))
      const resume = extra.interrupted?.resume
      if (resume) this.#recall(request, resume)
      await call.run()
    } finally {
      this.#calls.delete(String(request.id))
    }
  }

  /** Answers to what was asked through another node find the server's question again. */
  #recall(request: JsonRpcRequest, { asked, session }: ResumePoint) {
    for (const [wireId, question] of asked) {
      const here = this.#questions.restore({ ...question, session })
      this.#transport.recall(String(request.id), wireId, here)
    }
  }

  /** A one-way message in the server's terms; `ends`: the request that it cancels. `undefined`: nobody waits for it. */
  #outgoing(message: JsonRpcNotification | JsonRpcResponse): Outgoing | undefined {
    if (isResponse(message)) return this.#questions.incoming(message)
    if (message.method === 'notifications/cancelled') {
      const ends = this.#calls.get(String(message.params?.['requestId']))
      const params = { ...message.params, requestId: ends?.wireId }
      return ends && { message: { ...message, params }, session: ends.session, ends }
    }
    const progress =
      message.method === 'notifications/progress' ? this.#questions.incoming(message) : undefined
    return progress ?? { message, session: undefined }
  }

  /** `session`: the one it belongs to, if not to any. What the server does not take at once is repeated while a call would wait. */
  async #sendOneWay(message: JsonRpcMessage, session: ProxySession | undefined, extra: MessageExtra) {
    const until = performance.now() + this.graceMs
    try {
      await this.#sendOnce(message, session, extra)
    } catch (error) {
      if (!this.shared) throw error
      void this.#repeat(() => this.#sendOnce(message, session, extra), until)
    }
  }

  async #sendOnce(message: JsonRpcMessage, session: ProxySession | undefined, extra: MessageExtra) {
    const current = session ?? this.session
    const answer = await this.#post(message, current, extra)
    await drain(answer)
    if (mayPass(answer)) throw new Error(`The server answered ${answer.status}.`)
    if (answer.status !== 404 || session || current.id === undefined) return
    await drain(await this.#post(message, await this.revive(current, extra), extra))
  }

  async #repeat(send: () => Promise<void>, until: number) {
    while (!this.#closed.signal.aborted && performance.now() < until) {
      await sleep(RETRY_MS, undefined, { ref: false })
      try {
        return await send()
      } catch {
        // Not yet.
      }
    }
  }

  #post(message: JsonRpcMessage, session: ProxySession, extra: MessageExtra) {
    const signal = AbortSignal.any([this.#closed.signal, AbortSignal.timeout(TAKEN_WITHIN_MS)])
    return this.channel.post(session, message, extra, signal)
  }

  /** The next node may hear it again, if its client moves on before this one could say how far it has heard. */
  async #deliverStandalone(message: JsonRpcMessage, session: ProxySession, event: string | undefined) {
    if (isResponse(message)) return
    const isNamed = event !== undefined && session.id !== undefined
    const sent = isRequest(message)
      ? this.#sendQuestion(message, session, {})
      : this.#transport.send(
          this.#withdrawn(message),
          isNamed ? { once: digest(`${session.id} ${event}`) } : {},
        )
    await sent.catch((error: unknown) => this.#warn(error, 'a standalone message was lost'))
  }

  /** A question that can't be asked is answered with the reason: whoever asked would wait for ever. */
  async #sendQuestion(message: JsonRpcRequest, session: ProxySession, options: SendOptions) {
    const question = this.#questions.outgoing(message, session)
    try {
      await this.#transport.send(question, options)
    } catch (error) {
      if (isOver(error)) throw error
      if (!this.#saidUnasked) this.#warn(error, 'a question of the server could not be asked')
      this.#saidUnasked = true
      const reason = error instanceof DurableError ? error.message : 'it could not be asked'
      this.#take(errorResponse(question.id, ErrorCode.refused, reason), {})
    }
  }

  #withdrawn(message: JsonRpcNotification): JsonRpcNotification {
    if (message.method !== 'notifications/cancelled') return message
    return { ...message, params: this.#questions.withdrawn(message.params) }
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

type Outgoing = { message: JsonRpcMessage; session: ProxySession | undefined; ends?: ProxyCall | undefined }
