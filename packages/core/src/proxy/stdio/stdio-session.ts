import { MAX_DEPTH, nestsDeeper } from '../../json-depth.js'
import { ErrorCode, errorResponse, isObject, isRequest, isResponse } from '../../json-rpc.js'
import type {
  JsonRpcMessage,
  JsonRpcNotification,
  JsonRpcRequest,
  JsonRpcResponse,
  RequestId,
} from '../../json-rpc.js'
import type { Logger } from '../../logger.js'
import { BadAnswerError, tooLarge } from '../answer.js'
import type { Line } from './lines.js'
import { Outbox } from './outbox.js'
import type { OutboxEvents } from './outbox.js'
import { StdioProcess } from './stdio-process.js'
import type { StdioServer } from './stdio-process.js'
import { idsIn, isMeantAsMessage, isNoAnswer } from './unread.js'

export type StdioSessionServices = {
  server: StdioServer
  maxBytes: number
  logger: Logger
  /** Its process has answered a request, and not only `initialize`. */
  onUse: () => void
  /** Its process has ended. `failed`: by itself, or since it did not begin; and it was asked for nothing. */
  onEnd: (failed: boolean) => void
}

/** A request that the process has not answered. `outbox`: of `initialize`, once somebody waits for the session. */
type Pending = { request: JsonRpcRequest; outbox?: Outbox }

/** Messages outside of requests that nobody reads: the newest are kept. */
const MOST_UNHEARD = 100
/** Characters that wait for readers; beyond it the process is not listened to. */
const MOST_WAITING = 1024 * 1024
/** A session that was begun and is not used was begun for nobody. */
const USED_WITHIN_MS = 60_000
/** A process that has died is missed by a client that only listens: it is begun again after this time. */
const MISSED_AFTER_MS = 5000
/** Requests whose handlers may ask the client something. */
const ASKING = new Set(['tools/call', 'prompts/get', 'resources/read'])
const MOST_SHOWN = 200
/** The id of `initialize`; each request has the next number. There are servers that know no other ids. */
const INITIALIZE = 0

/**
 * One process and what it says, in order. Over stdio nothing says which request a message belongs to: progress is told by its token,
 * which is the number of its request here, since those of clients are not unique; a question and a line of the log belong to the one request that may have caused them, if it is the only one, and else to none.
 */
export class StdioSession {
  readonly #services: StdioSessionServices
  readonly #process: StdioProcess
  readonly #pending = new Map<number, Pending>()
  /** Questions of the server that were not answered, and the requests in which they were asked. */
  readonly #asked = new Map<RequestId, Pending | undefined>()
  readonly #unheard: JsonRpcMessage[] = []
  readonly #unused: NodeJS.Timeout
  readonly #initialize: Pending
  #standalone: Outbox | undefined
  /** To `initialize`, as long as nobody has taken it. */
  #answer: string | undefined
  #ids = INITIALIZE
  #waiting = 0
  #hasFailed = false
  #ended: string | undefined

  /** Starts the process, and tells it `initialize`. */
  constructor(initialize: JsonRpcRequest, services: StdioSessionServices) {
    this.#services = services
    const { server, maxBytes, logger } = services
    this.#process = new StdioProcess(server, {
      maxLineBytes: maxBytes,
      logger,
      onLine: (line) => this.#take(line),
      onEnd: (how, isExpected) => this.#isOver(how, isExpected),
    })
    this.#unused = setTimeout(() => void this.end(), USED_WITHIN_MS)
    this.#unused.unref()
    this.#initialize = { request: initialize }
    this.#pending.set(INITIALIZE, this.#initialize)
    void this.#write({ ...initialize, id: INITIALIZE })
  }

  /** Rejects if the process can't be started. */
  get started() {
    return this.#process.started
  }

  /** Whether its process may still read what it is sent. */
  get isOpen() {
    return this.#process.isOpen
  }

  /** It does not read what it is sent. */
  get isStuck() {
    return this.#process.isUnread
  }

  /** The answer to `initialize`, for one who has sent the same. It is taken once. */
  begin({ id }: JsonRpcRequest, signal: AbortSignal): Outbox {
    const pending = this.#initialize
    pending.request = { ...pending.request, id }
    const outbox = this.#outbox(pending)
    signal.addEventListener('abort', () => this.#tooLate(outbox), { once: true })
    if (this.#answer !== undefined) outbox.push(this.#answerFor(id, this.#answer), { isLast: true })
    else if (this.#ended !== undefined) outbox.end(notBegun(this.#ended))
    return outbox
  }

  /** Its messages up to its response, which is the last one. `undefined`: the process has certainly not got it. */
  async ask(request: JsonRpcRequest, signal: AbortSignal): Promise<Outbox | undefined> {
    clearTimeout(this.#unused)
    const id = ++this.#ids
    const pending: Pending = { request }
    const outbox = this.#outbox(pending, () => this.#forget(id, pending))
    this.#pending.set(id, pending)
    signal.addEventListener('abort', () => outbox.cancel(), { once: true })
    if (await this.#write(withToken({ ...request, id }, id))) return outbox
    outbox.cancel()
    return undefined
  }

  /** Resolves to `false` if the process has certainly not got it. */
  async tell(message: JsonRpcNotification | JsonRpcResponse): Promise<boolean> {
    if (isResponse(message)) this.#asked.delete(message.id ?? '')
    const isCancelling = 'method' in message && message.method === 'notifications/cancelled'
    const sent = isCancelling ? this.#cancelling(message) : message
    return sent ? this.#write(sent) : true
  }

  /** What it says outside of requests. */
  listen(signal: AbortSignal): Outbox {
    clearTimeout(this.#unused)
    this.#standalone?.end()
    const standalone = this.#outbox(undefined, (unread) => {
      if (this.#standalone === standalone) this.#standalone = undefined
      for (const text of unread) this.#say(JSON.parse(text) as JsonRpcMessage, text)
    })
    this.#standalone = standalone
    signal.addEventListener('abort', () => void this.#leave(standalone), { once: true })
    for (const message of this.#unheard.splice(0)) standalone.push(JSON.stringify(message))
    return standalone
  }

  /** The reader goes, and takes along what waits. The last that a process has said may still be on its way. */
  async #leave(standalone: Outbox) {
    if (!this.isOpen) await this.#process.ended
    standalone.end()
    if (this.#standalone === standalone) this.#standalone = undefined
  }

  /** Resolves when its process has ended. */
  async end() {
    clearTimeout(this.#unused)
    this.#standalone?.end()
    await this.#process.end()
  }

  #write(message: JsonRpcMessage) {
    return this.#process.write(JSON.stringify(message))
  }

  #outbox(pending: Pending | undefined, onEnd: OutboxEvents['onEnd'] = () => undefined): Outbox {
    const onSize = (change: number) => {
      this.#waiting += change
      this.#process.listen(this.#waiting < MOST_WAITING)
    }
    const outbox = new Outbox({ onSize, onEnd })
    if (pending) pending.outbox = outbox
    return outbox
  }

  /** Who begins a session and does not wait for it has none. */
  #tooLate(outbox: Outbox) {
    if (this.#answer !== undefined) return outbox.cancel()
    this.#hasFailed = true
    outbox.end(new BadAnswerError('did not answer initialize in time'))
    void this.end()
  }

  /** The request that is cancelled, by its number here. */
  #cancelling(message: JsonRpcNotification): JsonRpcNotification | undefined {
    const cancelled = message.params?.['requestId']
    const [requestId] = [...this.#pending].find(([, { request }]) => request.id === cancelled) ?? []
    return requestId === undefined ? undefined : { ...message, params: { ...message.params, requestId } }
  }

  /** The request is over: nobody answers any more what was asked in it. */
  #forget(id: number, pending: Pending) {
    this.#pending.delete(id)
    for (const [question, asker] of this.#asked)
      if (asker === pending) this.#refuse(question, 'Its request is over.')
  }

  #refuse(question: RequestId, why: string) {
    this.#asked.delete(question)
    this.#reply(errorResponse(question, ErrorCode.refused, why))
  }

  /** An answer of this node's own. One that asks on and reads nothing would be answered without end. */
  #reply(response: JsonRpcResponse) {
    if (!this.isOpen) return
    if (!this.isStuck) return void this.#write(response)
    this.#process.log('(it is ended: it asks without end, and reads nothing)')
    void this.end()
  }

  #take(line: Line) {
    const { text, isWhole } = line
    if (text.trim() === '') return
    const parsed = isWhole && !nestsDeeper(MAX_DEPTH, text) ? parse(text) : undefined
    for (const candidate of Array.isArray(parsed) ? parsed : [parsed])
      if (isObject(candidate)) this.#route(candidate as JsonRpcMessage)
      else this.#takeUnread(line)
  }

  #takeUnread({ text, isWhole, hasEnd }: Line) {
    // What was cut off was cut off by the end of the process, which says what becomes of its requests.
    if (hasEnd) this.#endMeant(text, isWhole)
    const shown = isMeantAsMessage(text) ? `a message that can't be used` : text.slice(0, MOST_SHOWN)
    this.#process.log(`(on standard output, where only messages belong) ${shown}`)
  }

  /** Who waits for what can't be read is told so; what no request waits for is no message. */
  #endMeant(text: string, isWhole: boolean) {
    const error = isWhole
      ? new BadAnswerError('sent a message that is not JSON, or nested too deep')
      : tooLarge(this.#services.maxBytes)
    const meant = idsIn(text).flatMap((id) => this.#pending.get(id) ?? [])
    const hit = meant.length > 0 || isWhole || isNoAnswer(text) ? meant : [...this.#pending.values()]
    for (const { outbox } of hit) outbox?.end(error)
  }

  #route(message: JsonRpcMessage) {
    if (!('method' in message)) return this.#answered(message)
    if (message.method === 'notifications/progress') return this.#progresses(message)
    const text = JSON.stringify(message)
    if (isRequest(message)) return this.#asks(message, text)
    if (message.method === 'notifications/cancelled') return this.#withdraws(message, text)
    const to = message.method === 'notifications/message' ? this.#only()?.outbox : undefined
    if (to) to.push(text)
    else this.#say(message, text)
  }

  #answered(response: JsonRpcResponse) {
    // An error without an id answers the one request there was; and there are servers that make a text of a number.
    const [only] = this.#pending.size === 1 && 'error' in response ? this.#pending.keys() : []
    const id = response.id == null ? (only ?? -1) : Number(response.id)
    const pending = this.#pending.get(id)
    if (!pending) return
    this.#pending.delete(id)
    const text = JSON.stringify({ ...response, id: pending.request.id })
    if (pending === this.#initialize) this.#begun(text, response)
    else this.#services.onUse()
    pending.outbox?.push(text, { isLast: true })
  }

  #begun(text: string, response: JsonRpcResponse) {
    this.#answer = text
    if (!('result' in response)) void this.end()
  }

  #answerFor(id: RequestId, answer: string) {
    return JSON.stringify({ ...(JSON.parse(answer) as object), id })
  }

  #asks(question: JsonRpcRequest, text: string) {
    // Whoever is at the other end of its pipe is this.
    if (question.method === 'ping') return this.#reply({ jsonrpc: '2.0', id: question.id, result: {} })
    const asker = this.#only()
    this.#asked.set(question.id, asker)
    if (asker) asker.outbox?.push(text)
    else this.#say(question, text)
  }

  #withdraws(message: JsonRpcNotification, text: string) {
    const question = message.params?.['requestId'] as RequestId
    if (!this.#asked.has(question)) return
    const asker = this.#asked.get(question)
    this.#asked.delete(question)
    if (asker) asker.outbox?.push(text)
    else this.#say(message, text)
  }

  #say(message: JsonRpcMessage, text: string) {
    if (this.#standalone) return this.#standalone.push(text)
    this.#unheard.push(message)
    const dropped = this.#unheard.length > MOST_UNHEARD ? this.#unheard.shift() : undefined
    if (dropped && isRequest(dropped)) this.#refuse(dropped.id, 'Nobody is there to be asked.')
  }

  #only(): Pending | undefined {
    const asking = [...this.#pending.values()].filter(({ request }) => ASKING.has(request.method))
    return asking.length === 1 ? asking[0] : undefined
  }

  #progresses(message: JsonRpcNotification) {
    const pending = this.#pending.get(Number(message.params?.['progressToken'] ?? Number.NaN))
    const progressToken = pending && tokenOf(pending.request)
    if (progressToken === undefined) return
    pending?.outbox?.push(JSON.stringify({ ...message, params: { ...message.params, progressToken } }))
  }

  #isOver(how: string, isExpected: boolean) {
    this.#ended = how
    clearTimeout(this.#unused)
    for (const pending of this.#pending.values())
      pending.outbox?.end(pending === this.#initialize ? notBegun(how) : new Error(`The server ${how}.`))
    setTimeout(() => this.#standalone?.end(), MISSED_AFTER_MS).unref()
    this.#services.onEnd(this.#hasFailed || (!isExpected && this.#ids === INITIALIZE))
  }
}

const notBegun = (how: string) =>
  new BadAnswerError(`${how} before it answered initialize; the log of this node has what it said`)

const tokenOf = ({ params }: JsonRpcRequest) => params?._meta?.['progressToken']

function withToken(request: JsonRpcRequest, progressToken: number): JsonRpcRequest {
  if (tokenOf(request) === undefined) return request
  return { ...request, params: { ...request.params, _meta: { ...request.params?._meta, progressToken } } }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
