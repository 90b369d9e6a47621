import { keepNewest } from '../context/call-log.js'
import type { StepRecord } from '../context/call-log.js'
import { digest } from '../ids.js'
import { encodeJson, isNotification, isRequest, isResponse } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest, RequestId } from '../json-rpc.js'
import { BEGINNING, splitId } from '../store/store.js'
import type { Entry, EntryId } from '../store/store.js'
import { termsIn } from './call-task.js'
import { isTerminal, parseRecord } from './record.js'
import type {
  BegunHandler,
  CallRecord,
  Claim,
  Diverged,
  HandlerKind,
  ParkedCall,
  ProxyRecord,
  Origin,
  RecordedRequest,
  RecordKind,
  ResumePoint,
  TaskTerms,
} from './record.js'

/** What a journal says about the runs of a call so far. */
export class EarlierRuns {
  #request: RecordedRequest | undefined
  /** By the store's count, and by the journal's. */
  readonly #counted: number
  #claims = 0
  /** Claims after it was parked, as long as nothing else was recorded. */
  #claimsSinceParked: number | undefined
  /** Until when its client may answer what it was asked last. */
  answerBy: number | undefined
  /** How it was parked last. */
  parked: ParkedCall | undefined
  /** A run has recorded something. What may stand there before is its claim, and what a fork begins with. */
  hasRun = false
  #copied = 0
  /** When a node gave it back for the first time after it was last run, by the store's clock. */
  #unservedSince: number | undefined
  /** Of the code that has run it last, if that has one. */
  version: string | undefined
  /** What has claimed it last, and may have run it. */
  #claimed: Claim | undefined
  /** By which code it was tried in vain since something was recorded of a step. */
  divergences: readonly Diverged[] = []
  #lastKind: RecordKind | undefined
  #versionBefore: string | undefined
  /** Written by a version of this library that knows more. */
  #isForeign = false
  #ended = false
  #first: EntryId | undefined
  /** The newest entry that was read. */
  last: EntryId = BEGINNING
  #isTask = false
  /** If it is a task, or may become one. */
  taskTerms: TaskTerms | undefined
  readonly steps = new Map<string, StepRecord>()
  readonly sent = new SentMessages()
  readonly #answered = new Set<string>()
  readonly #noted = new Map<number, HandlerKind>()
  #allDurable = false
  #begun: Begun | undefined

  /**
   * Of a journal, page by page: what it says is far less than what it holds. `isPart`: there may be more of it; what may be a task
   * is taken for one then, so that it is kept for its time.
   */
  static async read(
    pages: AsyncIterable<readonly Entry[]> | Iterable<readonly Entry[]>,
    claims = 0,
    isPart = false,
  ): Promise<EarlierRuns> {
    const runs = new EarlierRuns(claims)
    runs.#isTask = isPart
    for await (const page of pages) for (const entry of page) runs.#add(entry)
    return runs
  }

  private constructor(claims: number) {
    this.#counted = claims
  }

  #add({ id, data }: Entry) {
    this.last = id
    const record = parseRecord(data) as ReturnType<typeof parseRecord> | undefined
    if (!record) return void (this.#isForeign = true)
    this.#noteService(record.kind, id)
    this.#noteVersion(record)
    const wasLeft = this.isLeft
    this.#lastKind = record.kind
    if (record.kind === 'diverged') this.divergences = [...this.divergences, record.diverged]
    if (record.kind === 'step') this.divergences = []
    this.#first ??= id
    if (record.kind === 'request') {
      this.#request = record.request
      this.taskTerms = record.request.task
      // The first claim begins the first run.
      if (record.request.of) this.#claims = -1
      this.#copied = record.request.of?.copied ?? 0
    } else if (this.#copied > 0) this.#copied--
    else this.hasRun ||= !BEFORE_RUNS.has(record.kind)
    if (record.kind === 'task') {
      this.#isTask = true
      this.taskTerms ??= record.answer && termsIn(record.answer)
    }
    this.#count(record, wasLeft)
    if (record.kind === 'parked') {
      this.parked = record.parked
      this.answerBy = record.parked.answerBy
    }
    if (record.kind === 'question') this.answerBy = undefined
    if (record.kind === 'step') keepNewest(this.steps, record.step)
    if (record.kind === 'message' || record.kind === 'question' || record.kind === 'withdrawn')
      this.#sentMessage(record.message, record.step, record.origin)
    if (record.kind === 'handler') this.#noted.set(record.handler.request, record.handler.kind)
    if (record.kind === 'proxy') this.#proxy(record.proxy)
    this.#ended ||= isTerminal(record.kind)
  }

  get request(): RecordedRequest {
    if (!this.#request) throw new Error('The journal does not begin with a request.')
    return this.#request
  }

  /** When the call was opened, in ms since 1970. */
  get begunAt(): number {
    return splitId(this.#first ?? BEGINNING)[0]
  }

  get isTask() {
    return this.#isTask
  }

  /** How often the call was run, the run that follows included. */
  get attempt() {
    return 1 + Math.max(this.#claims, this.#counted)
  }

  /** It was parked, and its client has come back: nothing has interrupted it. */
  get isContinued() {
    return this.#claimsSinceParked === 1
  }

  /** Nothing was recorded of it since it was parked: who has claimed it may have died before it took what a run needs. */
  get isOnlyClaimed() {
    return this.#claimsSinceParked !== undefined
  }

  /** Its last record says that nobody runs it. */
  get isLeft() {
    return this.#lastKind === 'diverged' || this.#lastKind === 'returned'
  }

  get isForeign() {
    return this.#isForeign
  }

  /** For how long no node could run it, when it was claimed by the entry `claim`. */
  unservedMs(claim: EntryId) {
    return this.#unservedSince === undefined ? 0 : splitId(claim)[0] - this.#unservedSince
  }

  #count({ kind }: CallRecord, wasLeft: boolean) {
    // A call that was left is given back without a claim.
    if (kind === 'passed' || (kind === 'returned' && wasLeft)) return
    const counts =
      kind === 'claim' ? 1 : kind === 'returned' || kind === 'parked' || kind === 'diverged' ? -1 : 0
    this.#claims += counts
    if (kind === 'parked') this.#claimsSinceParked = 0
    else if (counts === 0) this.#claimsSinceParked = undefined
    else if (this.#claimsSinceParked !== undefined) this.#claimsSinceParked += counts
  }

  /** What a node has claimed it has run, unless it has given it back, or its code did not fit. */
  #noteVersion(record: CallRecord) {
    if (record.kind === 'request') this.version = record.request.version
    else if (this.#claimed && !isUnrun(record)) this.version = this.#claimed.version
    if (record.kind === 'claim') this.#versionBefore = this.version
    if (record.kind === 'diverged') this.version = this.#versionBefore
    this.#claimed = record.kind === 'claim' ? record.claim : undefined
  }

  /** Something may have been done in an earlier run. */
  get isBegun() {
    if (this.attempt > 1 || this.steps.size > 0) return true
    return this.isContinued && this.parked?.queued !== 'start'
  }

  #noteService(kind: RecordKind, id: EntryId) {
    if (kind === 'returned') this.#unservedSince ??= splitId(id)[0]
    else if (kind !== 'claim') this.#unservedSince = undefined
  }

  get ended() {
    return this.#ended
  }

  /** What has run each of the requests, the last time. */
  get handlers(): readonly BegunHandler[] {
    const { request } = this
    return request.messages.map((_, place) => this.#handlerAt(place, request))
  }

  /** From where an upstream may be asked to go on, and which of the messages it may send again then. */
  get resume(): (ResumePoint & { sent: SentMessages }) | undefined {
    return this.#begun?.event === undefined ? undefined : { ...this.#begun, event: this.#begun.event }
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

  #proxy(record: ProxyRecord) {
    if ('durable' in record) this.#allDurable = true
    else if ('begun' in record) {
      this.#begun = { ...record.begun, event: record.begun.event, asked: new Map(), sent: this.sent.copy() }
    } else if (this.#begun && 'again' in record) {
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

const BEFORE_RUNS: ReadonlySet<RecordKind> = new Set(['passed', 'claim', 'returned', 'parked'])

/** Behind a claim: the node has run nothing. */
const isUnrun = (record: CallRecord) =>
  record.kind === 'returned' ||
  record.kind === 'diverged' ||
  (record.kind === 'parked' && record.parked.queued !== undefined)

/** A run of an upstream, as far as its stream was read. */
type Begun = Omit<ResumePoint, 'event' | 'asked'> & {
  event: string | undefined
  asked: Map<string, { id: RequestId; token?: RequestId }>
  sent: SentMessages
}

/**
 * The messages of earlier runs, of which only digests are held. A message that is sent again is recognised by its content and how
 * often it occurred: where the content differs there is a second delivery, never a lost message.
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
    // In a first run, which nearly all are.
    if (this.#notifications.size === 0) return false
    const progress = progressOf(message)
    if (progress) return progress.value <= this.#highest(progress.token)
    const key = contentKey(message, step)
    const left = this.#notifications.get(key) ?? 0
    if (left > 0) this.#notifications.set(key, left - 1)
    return left > 0
  }

  /** The id under which an earlier run has asked this; each one counts once. */
  takeQuestion(question: JsonRpcRequest): string | undefined {
    return this.#questions.size === 0 ? undefined : this.#questions.get(questionKey(question))?.shift()
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

  get questionIds(): readonly string[] {
    return [...this.#asked.keys()]
  }

  #highest(token: string) {
    return this.#progress.get(token) ?? Number.NEGATIVE_INFINITY
  }
}

function progressOf(message: JsonRpcMessage) {
  if (!isNotification(message) || message.method !== 'notifications/progress') return undefined
  const { progressToken, progress } = message.params ?? {}
  return typeof progress === 'number'
    ? { token: digest(encodeJson(progressToken ?? null)), value: progress }
    : undefined
}

function contentKey(message: JsonRpcMessage, step: string | undefined) {
  return 'method' in message ? digest(encodeJson([step ?? null, message.method, message.params])) : ''
}

/** Without the progress token: the SDK draws it from its numbering, which begins anew in every server object. */
function questionKey({ method, params }: JsonRpcRequest) {
  if (!params?._meta) return digest(encodeJson([method, params]))
  const { progressToken: _, ...meta } = params._meta
  const { _meta: __, ...rest } = params
  return digest(encodeJson([method, Object.keys(meta).length > 0 ? { ...rest, _meta: meta } : rest]))
}
