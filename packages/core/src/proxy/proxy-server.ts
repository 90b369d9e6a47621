import { setTimeout as sleep } from 'node:timers/promises'
import type { ProxySession, ResumePoint } from '../call/record.js'
import { digest } from '../ids.js'
import { isRequest, isResponse } from '../json-rpc.js'
import type {
  JsonRpcMessage,
  JsonRpcNotification,
  JsonRpcRequest,
  JsonRpcResponse,
  JsonRpcResult,
} from '../json-rpc.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { ProxyObject } from '../session/server-factory.js'
import type { DispatchExtra, ServerTransport, MessageExtra } from '../session/transport.js'
import type { StateEntry } from '../store/store.js'
import { answers, BadAnswerError, drain, isEventStream, isOk, mayPass, messagesOf } from './answer.js'
import { meansToAnswer, noAnswer, noMessage, parseMessages } from './answer.js'
import type { Answer, Intake } from './answer.js'
import { Channel, NO_SESSION, UnsentError } from './channel.js'
import type { Backend } from './channel.js'
import { readEvents } from './events.js'
import { ProxyCall } from './proxy-call.js'
import type { Relay } from './proxy-call.js'
import { ProxyQuestions } from './proxy-questions.js'
import type { Link } from './link.js'
import { outside } from './outside.js'
import { broken, refusalOf, unreachable } from './refusal.js'
import { StandaloneStream } from './standalone-stream.js'

export type ProxyServices = {
  backend: Backend
  /** Where nodes agree on the session to use; only for a backend that is shared. */
  link: Link | undefined
  /** What the session's client has told, for a server that has lost it. */
  readState: () => Promise<readonly StateEntry[]>
  logger: Logger
  graceMs: number
  maxRuns: number
  maxBytes: number
}

/** A notification, an answer or `initialize` should be taken within this time; what follows waits for it. */
const TAKEN_WITHIN_MS = 20_000
const RETRY_MS = 500

/**
 * The server object of a session whose server is behind HTTP: a client of it, on the inside of a session server.
 *
 * It keeps no promises of its own. Ids, journals, takeovers and what was sent before are the session server's and the call's;
 * it carries their messages there and back, and finds the server's session again when one side has lost it.
 */
export class ProxyServer implements ProxyObject, Relay {
  readonly shared: boolean
  readonly channel: Channel
  readonly graceMs: number
  readonly maxRuns: number
  readonly maxBytes: number
  readonly #services: ProxyServices
  readonly #calls = new Map<string, ProxyCall>()
  readonly #questions = new ProxyQuestions()
  readonly #stream: StandaloneStream
  readonly #closed = new AbortController()
  #transport!: ServerTransport
  #session = NO_SESSION
  #reviving: Promise<ProxySession> | undefined
  /** The one-way messages so far were taken; whatever comes later may build on them. */
  #taken: Promise<unknown> = Promise.resolve()
  #linked: Promise<unknown> = Promise.resolve()
  /** Of the client's newest request; what is sent for no request in particular comes from the same client. */
  #extra: MessageExtra = {}

  constructor(services: ProxyServices) {
    this.#services = services
    this.channel = new Channel(services.backend)
    this.graceMs = services.graceMs
    this.maxRuns = services.maxRuns
    this.maxBytes = services.maxBytes
    this.shared = services.backend.shared
    this.#stream = new StandaloneStream({
      channel: this.channel,
      maxBytes: this.maxBytes,
      complain: (error) => this.complain(error),
      session: () => this.#session,
      revive: (stale) => this.revive(stale, this.#extra),
      extra: () => this.#extra,
      deliver: (message, session, event) => this.#deliverStandalone(message, session, event),
      heard: async (session) => services.link?.heard(session),
      hear: (session, event) => services.link?.hear(session, event),
    })
  }

  get session() {
    return this.#session
  }

  async connect(transport: ServerTransport) {
    this.#transport = transport
    transport.onmessage = (message: JsonRpcMessage, extra: DispatchExtra = {}) => this.#take(message, extra)
  }

  async close() {
    this.#closed.abort()
    this.#stream.close()
    for (const call of this.#calls.values()) call.stop()
    // The session of an upstream goes on: other nodes use it too, and this one may come back to it.
    if (this.shared) return
    await this.#taken
    await outside(() => this.channel.delete(this.#session, this.#extra)).catch(() => undefined)
  }

  listen(open: boolean) {
    if (open) this.#stream.open()
    else this.#stream.close()
  }

  heard() {
    return this.#stream.opened
  }

  letGo(requestId: string) {
    this.#calls.get(requestId)?.stop()
  }

  async hasSeen(version: number): Promise<boolean> {
    const linked = await this.#services.link?.read()
    if (!linked) return false
    this.#session = linked.session
    return linked.seen >= version
  }

  saw(version: number) {
    const { link } = this.#services
    if (!link || version === 0) return
    this.#linked = this.#linked
      .catch(() => undefined)
      .then(() => this.#taken)
      .then(async () => this.#use(await link.saw(this.#session, version)))
    this.#linked.catch((error: unknown) => this.#warn(error, 'the session of the upstream was not stored'))
  }

  async settled() {
    await this.#linked
  }

  revive(stale: ProxySession, extra: MessageExtra): Promise<ProxySession> {
    if (this.#session.id !== stale.id) return Promise.resolve(this.#session)
    this.#reviving ??= outside(() => this.#beginAgain(stale, extra)).finally(
      () => (this.#reviving = undefined),
    )
    return this.#reviving
  }

  complain(error: Error) {
    this.#warn(error, 'the server behind this one has sent what cannot be used')
  }

  async deliver(message: JsonRpcMessage, call: ProxyCall, event: string | undefined) {
    if (isResponse(message)) return
    const relatedRequestId = call.request.id
    const place = event !== undefined && this.shared ? { event } : undefined
    try {
      if (isRequest(message)) {
        const token = message.params?._meta?.['progressToken'] as string | number | undefined
        const origin = place && { ...place, id: message.id, ...(token !== undefined && { token }) }
        const question = this.#questions.outgoing(message, call.session)
        await this.#transport.send(question, { relatedRequestId, ...(origin && { origin }) })
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
    const call = new ProxyCall(this, request, extra)
    this.#calls.set(String(request.id), call)
    try {
      await this.#taken
      if (this.#closed.signal.aborted) return
      if (request.method === 'initialize') return await this.#initialize(request, extra)
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

  async #initialize(request: JsonRpcRequest, extra: MessageExtra) {
    const { session, response } = await this.#begin(request, extra)
    if (session) this.#session = session
    await this.#transport.send(response)
  }

  async #begin(
    request: JsonRpcRequest,
    extra: MessageExtra,
  ): Promise<{ response: JsonRpcResponse; session?: ProxySession }> {
    const begin = () => this.#post(request, NO_SESSION, extra)
    try {
      // A connection that was kept may just have been closed at the other end; a session begun in vain does no harm.
      const answer = await begin().catch((error: unknown) => {
        if (isReset(error)) return begin()
        throw error
      })
      if (!isOk(answer)) return { response: await refusalOf(request.id, answer) }
      const response = await answerIn(answer, request, this.maxBytes)
      return 'result' in response ? { response, session: sessionOf(answer, response) } : { response }
    } catch (error) {
      if (error instanceof UnsentError) return { response: unreachable(request.id) }
      if (!(error instanceof BadAnswerError)) return { response: broken(request.id, 'broke off') }
      this.complain(error)
      return { response: broken(request.id, error.message) }
    }
  }

  /** A session of the server in place of one it has lost, brought to where the client thinks it is. */
  async #beginAgain(stale: ProxySession, extra: MessageExtra): Promise<ProxySession> {
    const { link, logger } = this.#services
    const linked = await link?.read()
    if (linked && linked.session.id !== stale.id) {
      await this.#stream.reopen(linked.session)
      return (this.#session = linked.session)
    }
    let fresh = NO_SESSION
    let seen = 0
    for (const { data, version } of await this.#services.readState()) {
      const message = JSON.parse(data) as JsonRpcMessage
      seen = version
      if (isRequest(message) && message.method === 'initialize') {
        const begun = await this.#begin(message, extra)
        if (!begun.session) throw new Error('The server did not begin a new session.')
        fresh = begun.session
        await this.#stream.reopen(fresh)
      } else {
        const answer = await this.#post(message, fresh, extra)
        await (isRequest(message)
          ? answerIn(answer, message, this.maxBytes).catch(() => undefined)
          : drain(answer))
      }
    }
    const kept = link ? await link.replace(stale, fresh, seen) : fresh
    if (kept.id !== fresh.id) {
      void this.channel.delete(fresh, extra).catch(() => undefined)
      await this.#stream.reopen(kept)
    }
    logger.info(
      { session: shortId(this.#transport.sessionId) },
      'the server had lost a session; it has a new one',
    )
    return (this.#session = kept)
  }

  /** The session that the nodes have agreed on; if it is not the one begun here, that one is of no use. */
  #use(session: ProxySession): ProxySession {
    if (session.id !== this.#session.id) {
      const mine = this.#session
      this.#session = session
      void this.#stream.reopen(session)
      void this.channel.delete(mine, this.#extra).catch(() => undefined)
    }
    return session
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
    const until = Date.now() + this.graceMs
    try {
      await this.#sendOnce(message, session, extra)
    } catch (error) {
      if (!this.shared) throw error
      void this.#repeat(() => this.#sendOnce(message, session, extra), until)
    }
  }

  async #sendOnce(message: JsonRpcMessage, session: ProxySession | undefined, extra: MessageExtra) {
    const current = session ?? this.#session
    const answer = await this.#post(message, current, extra)
    await drain(answer)
    if (mayPass(answer)) throw new Error(`The server answered ${answer.status}.`)
    if (answer.status !== 404 || session || current.id === undefined) return
    await drain(await this.#post(message, await this.revive(current, extra), extra))
  }

  async #repeat(send: () => Promise<void>, until: number) {
    while (!this.#closed.signal.aborted && Date.now() < until) {
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
    const sent = isRequest(message) ? this.#questions.outgoing(message, session) : this.#withdrawn(message)
    const isNamed = event !== undefined && session.id !== undefined && !isRequest(message)
    await this.#transport
      .send(sent, isNamed ? { once: digest(`${session.id} ${event}`) } : {})
      .catch((error: unknown) => this.#warn(error, 'a standalone message was lost'))
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
    this.#services.logger.warn({ error, session: shortId(this.#transport.sessionId) }, message)
  }
}

type Outgoing = { message: JsonRpcMessage; session: ProxySession | undefined; ends?: ProxyCall | undefined }

const isReset = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ECONNRESET'

/** What a server says before its answer to `initialize` belongs to nobody yet. */
async function answerIn(answer: Answer, { id }: JsonRpcRequest, maxBytes: number): Promise<JsonRpcResponse> {
  const onStrange = (candidate: unknown) => {
    if (meansToAnswer(candidate, id)) throw noMessage()
  }
  for await (const message of messagesIn(answer, { maxBytes, onStrange }))
    if (answers(message, id)) return message
  throw noAnswer()
}

async function* messagesIn(answer: Answer, intake: Intake): AsyncGenerator<JsonRpcMessage> {
  if (!isEventStream(answer)) return yield* await messagesOf(answer, intake)
  for await (const { data } of readEvents(answer.body, { ...intake, onRetry: () => undefined }))
    if (data !== '') yield* parseMessages(data, intake)
}

/** What the client needs for every further request must fit into headers. */
function sessionOf(answer: Answer, { result }: JsonRpcResult): ProxySession {
  const protocol = result['protocolVersion']
  if (typeof protocol !== 'string' || !/^[\x21-\x7e]{1,64}$/.test(protocol))
    throw new BadAnswerError('answered initialize without a protocol version')
  return { id: answer.header('mcp-session-id') || undefined, protocol }
}
