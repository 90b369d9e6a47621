import type { ProxySession } from '../call/record.js'
import { isRequest } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse, JsonRpcResult } from '../json-rpc.js'
import { shortId } from '../logger.js'
import type { Logger } from '../logger.js'
import type { MessageExtra } from '../session/transport.js'
import type { StateEntry } from '../store/store.js'
import { answers, BadAnswerError, drain, isEventStream, isOk, messagesOf } from './answer.js'
import { meansToAnswer, noAnswer, noMessage, parseMessages } from './answer.js'
import type { Answer, Intake } from './answer.js'
import { NO_SESSION, UnsentError } from './channel.js'
import type { Channel } from './channel.js'
import { readEvents } from './events.js'
import type { Link } from './link.js'
import { outside } from './outside.js'
import { broken, refusalOf, unreachable } from './refusal.js'

export type ServerSessionServices = {
  /** Our session, for which this one stands. */
  sessionId: () => string
  channel: Channel
  /** Where nodes agree on the session to use; only for a backend that is shared. */
  link: Link | undefined
  /** What the session's client has told, for a server that has lost it. */
  readState: () => Promise<readonly StateEntry[]>
  logger: Logger
  maxBytes: number
  post: (message: JsonRpcMessage, session: ProxySession, extra: MessageExtra) => Promise<Answer>
  /** Its standalone stream is another one now. */
  reopen: (session: ProxySession) => Promise<unknown>
  /** Resolves when the server has taken what was sent before. */
  taken: () => Promise<unknown>
  /** Of the client, for what is sent for no request in particular. */
  extra: () => MessageExtra
  warn: (error: unknown, message: string) => void
}

/** The session that a server behind HTTP keeps for one of ours: begun, agreed on between nodes, and begun again when the server has lost it. */
export class ServerSession {
  readonly #services: ServerSessionServices
  #current = NO_SESSION
  #reviving: Promise<ProxySession> | undefined
  #linked: Promise<unknown> = Promise.resolve()

  constructor(services: ServerSessionServices) {
    this.#services = services
  }

  get current() {
    return this.#current
  }

  /** Resolves to the answer of the client's `initialize`. */
  async initialize(request: JsonRpcRequest, extra: MessageExtra): Promise<JsonRpcResponse> {
    const { session, response } = await this.#begin(request, extra)
    if (session) this.#current = session
    return response
  }

  async hasSeen(version: number): Promise<boolean> {
    const linked = await this.#services.link?.read()
    if (!linked) return false
    this.#current = linked.session
    return linked.seen >= version
  }

  saw(version: number) {
    const { link } = this.#services
    if (!link || version === 0) return
    this.#linked = this.#linked
      .catch(() => undefined)
      .then(() => this.#services.taken())
      .then(async () => this.#use(await link.saw(this.#current, version)))
    this.#linked.catch((error: unknown) =>
      this.#services.warn(error, 'the session of the upstream was not stored'),
    )
  }

  async settled() {
    await this.#linked
  }

  revive(stale: ProxySession, extra: MessageExtra): Promise<ProxySession> {
    // A session that is being begun is in use before it is the current one.
    if (this.#reviving) return this.#reviving
    if (this.#current.id !== stale.id) return Promise.resolve(this.#current)
    this.#reviving = outside(() => this.#beginAgain(stale, extra)).finally(() => (this.#reviving = undefined))
    return this.#reviving
  }

  async #begin(
    request: JsonRpcRequest,
    extra: MessageExtra,
  ): Promise<{ response: JsonRpcResponse; session?: ProxySession }> {
    const begin = () => this.#services.post(request, NO_SESSION, extra)
    try {
      // A connection that was kept may just have been closed at the other end; a session begun in vain does no harm.
      const answer = await begin().catch((error: unknown) => {
        if (isReset(error)) return begin()
        throw error
      })
      if (!isOk(answer)) return { response: await refusalOf(request.id, answer) }
      const response = await answerIn(answer, request, this.#services.maxBytes)
      return 'result' in response ? { response, session: sessionOf(answer, response) } : { response }
    } catch (error) {
      if (error instanceof UnsentError) return { response: unreachable(request.id) }
      if (!(error instanceof BadAnswerError)) return { response: broken(request.id, 'broke off') }
      this.#services.warn(error, UNUSABLE)
      return { response: broken(request.id, error.message) }
    }
  }

  /** A session of the server in place of one it has lost, brought to where the client thinks it is. */
  async #beginAgain(stale: ProxySession, extra: MessageExtra): Promise<ProxySession> {
    const { link, logger } = this.#services
    const linked = await link?.read()
    if (linked && linked.session.id !== stale.id) {
      await this.#services.reopen(linked.session)
      return (this.#current = linked.session)
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
        await this.#services.reopen(fresh)
      } else {
        const answer = await this.#services.post(message, fresh, extra)
        await (isRequest(message)
          ? answerIn(answer, message, this.#services.maxBytes).catch(() => undefined)
          : drain(answer))
      }
    }
    const kept = link ? await link.replace(stale, fresh, seen) : fresh
    if (kept.id !== fresh.id) {
      void this.#services.channel.delete(fresh, extra).catch(() => undefined)
      await this.#services.reopen(kept)
    }
    logger.info(
      { session: shortId(this.#services.sessionId()) },
      'the server had lost a session; it has a new one',
    )
    return (this.#current = kept)
  }

  /** The session that the nodes have agreed on; if it is not the one begun here, that one is of no use. */
  #use(session: ProxySession): ProxySession {
    if (session.id !== this.#current.id) {
      const mine = this.#current
      this.#current = session
      void this.#services.reopen(session)
      void this.#services.channel.delete(mine, this.#services.extra()).catch(() => undefined)
    }
    return session
  }
}

/** Said of what the server behind this one has sent. */
export const UNUSABLE = 'the server behind this one has sent what cannot be used'

const isReset = (error: unknown) => (error as NodeJS.ErrnoException).code === 'ECONNRESET'

/** What a server says before its answer to `initialize` belongs to nobody yet. An error may name no request. */
export async function answerIn(
  answer: Answer,
  { id }: JsonRpcRequest,
  maxBytes: number,
): Promise<JsonRpcResponse> {
  const onStrange = (candidate: unknown) => {
    if (meansToAnswer(candidate, id)) throw noMessage()
  }
  for await (const message of messagesIn(answer, { maxBytes, onStrange }))
    if (answers(message, id)) return { ...message, id }
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
