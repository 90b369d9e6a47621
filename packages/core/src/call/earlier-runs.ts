import { keepNewest } from '../context/call-log.js'
import type { StepRecord } from '../context/call-log.js'
import { isNotification, isRequest, isResponse } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest, RequestId } from '../json-rpc.js'
import type { Entry } from '../store/store.js'
import { isTerminal, parseRecord } from './record.js'
import type {
  BegunHandler,
  HandlerKind,
  InnerRecord,
  Origin,
  RecordedRequest,
  ResumePoint,
} from './record.js'

/** What a journal says about the runs of a call so far. */
export class EarlierRuns {
  readonly request: RecordedRequest
  /** How often the call was run, the run that follows included. */
  readonly attempt: number
  readonly ended: boolean
  readonly steps = new Map<string, StepRecord>()
  readonly sent = new SentMessages()
  /** What has run each of the requests, the last time. */
  readonly handlers: readonly BegunHandler[]
  /** From where an upstream may be asked to go on, and which of the messages it may send again then. */
  resume: (ResumePoint & { sent: SentMessages }) | undefined
  readonly #answered = new Set<string>()
  readonly #noted = new Map<number, HandlerKind>()
  #allDurable = false
  #begun: Begun | undefined

  constructor(entries: readonly Entry[]) {
    let request: RecordedRequest | undefined
    let claims = 0
    let ended = false
    for (const { data } of entries) {
      const record = parseRecord(data)
      if (record.kind === 'request') request = record.request
      if (record.kind === 'claim') claims++
      if (record.kind === 'step') keepNewest(this.steps, record.step)
      if (record.kind === 'message') this.#sentMessage(record.message, record.step, record.origin)
      if (record.kind === 'handler') this.#noted.set(record.handler.request, record.handler.kind)
      if (record.kind === 'inner') this.#inner(record.inner)
      ended ||= isTerminal(record.kind)
    }
    if (!request) throw new Error('The journal does not begin with a request.')
    this.request = request
    this.attempt = 1 + claims
    this.handlers = request.messages.map((_, place) => this.#handlerAt(place, request))
    this.ended = ended
    if (this.#begun?.event !== undefined) this.resume = { ...this.#begun, event: this.#begun.event }
  }

  /** A member of a batch that has its response already. */
  hasAnswered(id: RequestId) {
    return this.#answered.has(JSON.stringify(id))
  }

  #handlerAt(place: number, { handlers }: RecordedRequest): BegunHandler {
    return this.#noted.get(place) ?? (this.#allDurable ? 'durable' : (handlers?.[place] ?? 'plain'))
  }

  #sentMessage(message: JsonRpcMessage, step: string | undefined, origin: Origin | undefined) {
    if (isResponse(message)) this.#answered.add(JSON.stringify(message.id))
    else this.sent.add(message, step)
    if (!origin || !this.#begun) return
    this.#begun.event = origin.event
    if (isRequest(message)) this.#asked(String(message.id), origin)
    this.#begun.sent.noteQuestion(message)
  }

  #inner(record: InnerRecord) {
    if ('durable' in record) this.#allDurable = true
    else if ('begun' in record) {
      this.#begun = { ...record.begun, event: record.begun.event, asked: new Map(), sent: this.sent.copy() }
    } else if (this.#begun) {
      const { message, origin, question } = record.again
      this.#begun.event = origin.event
      if (isRequest(message)) this.#begun.sent.takeQuestion(message)
      else this.#begun.sent.takeNotification(message)
      if (question !== undefined) this.#asked(question, origin)
    }
  }

  #asked(question: string, { id, token }: Origin) {
    if (id !== undefined) this.#begun?.asked.set(question, { id, ...(token !== undefined && { token }) })
  }
}

/** A run of an upstream, as far as its stream was read. */
type Begun = Omit<ResumePoint, 'event' | 'asked'> & {
  event: string | undefined
  asked: Map<string, { id: RequestId; token?: RequestId }>
  sent: SentMessages
}

/**
 * The messages of earlier runs. A message that is sent again is recognised by its content and how often
 * it occurred: where the content differs there is a second delivery, never a lost message.
 */
export class SentMessages {
  readonly #notifications = new Map<string, number>()
  readonly #progress = new Map<string, number>()
  readonly #questions = new Map<string, string[]>()
  /** Methods of questions, by their ids. */
  readonly #asked = new Map<string, string>()

  add(message: JsonRpcMessage, step?: string) {
    if (isRequest(message)) {
      const id = String(message.id)
      this.#asked.set(id, message.method)
      const key = questionKey(message)
      this.#questions.set(key, [...(this.#questions.get(key) ?? []), id])
    } else if (isNotification(message)) {
      const key = contentKey(message, step)
      this.#notifications.set(key, (this.#notifications.get(key) ?? 0) + 1)
      const progress = progressOf(message)
      if (progress)
        this.#progress.set(progress.token, Math.max(progress.value, this.#highest(progress.token)))
    }
  }

  /** True if an earlier run has sent this notification; each one counts once. */
  takeNotification(message: JsonRpcMessage, step?: string): boolean {
    const progress = progressOf(message)
    if (progress) return progress.value <= this.#highest(progress.token)
    const key = contentKey(message, step)
    const left = this.#notifications.get(key) ?? 0
    if (left > 0) this.#notifications.set(key, left - 1)
    return left > 0
  }

  /** The id under which an earlier run has asked this; each one counts once. */
  takeQuestion(question: JsonRpcRequest): string | undefined {
    return this.#questions.get(questionKey(question))?.shift()
  }

  /** A question of this very run: it counts, and is not expected again. */
  noteQuestion(message: JsonRpcMessage) {
    if (isRequest(message)) this.#asked.set(String(message.id), message.method)
  }

  copy(): SentMessages {
    const copy = new SentMessages()
    for (const [key, count] of this.#notifications) copy.#notifications.set(key, count)
    for (const [key, value] of this.#progress) copy.#progress.set(key, value)
    for (const [key, ids] of this.#questions) copy.#questions.set(key, [...ids])
    for (const [id, method] of this.#asked) copy.#asked.set(id, method)
    return copy
  }

  hasAsked(id: string) {
    return this.#asked.has(id)
  }

  /** Of a question that was asked. */
  methodOf(id: string) {
    return this.#asked.get(id)
  }

  get questionCount() {
    return this.#asked.size
  }

  #highest(token: string) {
    return this.#progress.get(token) ?? Number.NEGATIVE_INFINITY
  }
}

function progressOf(message: JsonRpcMessage) {
  if (!isNotification(message) || message.method !== 'notifications/progress') return undefined
  const { progressToken, progress } = message.params ?? {}
  return typeof progress === 'number' ? { token: JSON.stringify(progressToken), value: progress } : undefined
}

function contentKey(message: JsonRpcMessage, step: string | undefined) {
  return 'method' in message ? JSON.stringify([step, message.method, message.params]) : ''
}

/** Without the progress token: the SDK draws it from its numbering, which begins anew in every server object. */
function questionKey({ method, params }: JsonRpcRequest) {
  if (!params?._meta) return JSON.stringify([method, params])
  const { progressToken: _, ...meta } = params._meta
  const { _meta: __, ...rest } = params
  return JSON.stringify([method, Object.keys(meta).length > 0 ? { ...rest, _meta: meta } : rest])
}
