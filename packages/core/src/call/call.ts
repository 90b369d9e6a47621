import type { Effect, Receipt, StepRecord } from '../context/call-log.js'
import type { Divergence } from '../context/divergence.js'
import { UnrecordableError } from '../errors.js'
import { requestKeyPrefix } from '../ids.js'
import { asksForInput } from '../input-required.js'
import { ErrorCode, errorResponse, isNotification } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { LazyAbort } from '../lazy-abort.js'
import { requireDurability } from '../store/durability.js'
import type { Durability } from '../store/durability.js'
import { REFUSED_FOR_MS, readPages, whileStoreFails } from '../store/retry.js'
import { splitId } from '../store/store.js'
import type { CloseCall, Entry } from '../store/store.js'
import { EarlierRuns, SentMessages } from './earlier-runs.js'
import { Journal } from './journal.js'
import type { InboxItem } from './inbox.js'
import { Questions, WITHDRAWAL } from './questions.js'
import type { Outgoing } from './questions.js'
import { CallInbox } from './call-inbox.js'
import { CallTask } from './call-task.js'
import { dispatchId } from './call-server.js'
import type { CallServer } from './call-server.js'
import type { CallEvents, CallServices, CallStart, Standing, Wait } from './call-start.js'
import { Sleeps } from './sleeps.js'
import type { BegunHandler, CallQuota, HandlerKind, ProxyRecord, Origin, TaskTerms } from './record.js'

/** Where the messages of a dispatched request go. */
export interface DispatchTarget {
  readonly id: string
  readonly open: boolean
  readonly requests: readonly JsonRpcRequest[]
  /** A notification. Resolves before it is in the journal, unless it has an `origin` or more than a little waits. */
  send(message: JsonRpcMessage, step?: string, origin?: Origin): Promise<void>
  /** Resolves when the response is where the client will find it. Rejects with an `UnrecordableError` if another one is needed. */
  respond(dispatchId: string, response: JsonRpcResponse): Promise<void>
  /** The server is going: nothing more is sent or answered by this node. */
  abandon(reason: string): void
  /**
   * Asks the client, once however often the call is run. `outgoing` makes the message for the id under which
   * the question goes out, and takes the answer for that id from then on. Resolves when the question is in the journal.
   */
  ask(question: JsonRpcRequest, outgoing: Outgoing, origin?: Origin): Promise<void>
  /** What has run a request, or is about to, by the journal. */
  handlerOf(request: JsonRpcRequest): BegunHandler
  /** Notes what runs a request from here on, which must not begin before this has resolved; `undefined`: the journal says so already. */
  noteHandler(request: JsonRpcRequest, kind: HandlerKind): Promise<unknown> | undefined
  readonly isJournaled: boolean
  /** The call in its journal; a request that is not journaled yet is now. */
  journaled(): Promise<Call>
}

/**
 * One client request (or one batch of them) that is journaled, at its owner.
 *
 * Invariant: whatever the client gets to see of the call was acknowledged by the store before.
 */
export class Call implements DispatchTarget {
  readonly id: string
  readonly scope: string
  readonly requests: readonly JsonRpcRequest[]
  /** Those under which it falls. */
  readonly quotas: readonly CallQuota[]
  /** 1 on the first run, one more with every takeover. */
  readonly attempt: number
  readonly #services: CallServices
  readonly #journal: Journal
  readonly questions: Questions
  readonly sleeps = new Sleeps()
  readonly #inbox: CallInbox
  readonly #begunAt: number
  #task: CallTask | undefined
  readonly #unanswered: Map<string, JsonRpcRequest>
  readonly #endWatch: () => void
  readonly #close: CloseCall
  readonly #steps: ReadonlyMap<string, StepRecord> | undefined
  #sent: SentMessages
  #server: CallServer | undefined
  #handlers: readonly BegunHandler[] | undefined
  #answered: Answer | undefined
  readonly #onSealed: () => void
  readonly #onDiverged: CallEvents['onDiverged']
  readonly #onEnded: (isRecorded: boolean) => void
  readonly #abandoned = new LazyAbort()
  readonly versions: { recordedBy: string | undefined; version: string | undefined }
  readonly divergesAfterMs: number | undefined
  /** An operator has asked for it since this node read its inbox. */
  #isRetried = false
  #onRetried: () => void = () => undefined

  constructor(
    services: CallServices,
    { scope, id, requests, quotas, first, past, requestKeys, keepKey, endsScope, handlers, task }: CallStart,
    told: CallEvents,
  ) {
    const { watcher, resumeWindowMs } = services
    this.id = id
    this.scope = scope
    this.requests = requests
    this.quotas = quotas
    this.attempt = past?.runs.attempt ?? 1
    this.#services = services
    this.#onSealed = told.onSealed
    this.#onDiverged = told.onDiverged
    this.#onEnded = told.onEnded
    this.divergesAfterMs = services.divergesAfterMs
    this.versions = { recordedBy: past?.runs.version, version: services.version }
    this.#steps = past?.runs.steps
    this.#handlers = past ? past.runs.handlers : handlers
    this.#sent = past?.runs.sent ?? new SentMessages()
    const dispatched = requests.map((request, index) => [dispatchId(id, requests, index), request] as const)
    this.#unanswered = new Map(dispatched.filter(([, request]) => !past?.runs.hasAnswered(request.id)))
    const unexpected = [...this.#sent.questionIds]
    this.#close = { requestKeys, retainMs: resumeWindowMs, keepKey, endsScope, unexpected }
    this.#journal = new Journal(services, {
      scope,
      callId: id,
      id: first,
      close: this.#close,
      abandoned: this.#abandoned,
      onLost: () => this.#lose(),
      onClosed: (isRecorded) => this.#end(isRecorded),
    })
    this.#begunAt = past?.runs.begunAt ?? splitId(first)[0]
    const terms = past ? past.runs.taskTerms : task
    // One that is asked for becomes one with its first record.
    if (terms) this.#task = this.#taskOf(terms, terms.afterMs === 0 || past?.runs.isTask === true)
    this.questions = new Questions(services, {
      scope,
      callId: id,
      kind: endsScope ? 'question' : 'message',
      given: endsScope ? givenWith(requests) : NOTHING,
      journal: this.#journal,
      sent: () => this.#sent,
      unexpected,
      abandoned: this.#abandoned,
      deliver: (message) => this.#server?.receive(message),
      answerBy: past?.runs.answerBy,
      asked: told.onAsked,
      answerWithinMs: () => Math.max(services.inputTtlMs, this.#task?.isTask ? this.#task.leftMs : 0),
      unanswered: () => this.#cancelFirst('The client has not answered in time.'),
    })
    this.#inbox = new CallInbox(services, { scope, callId: id }, past?.inbox, {
      receive: (item) => this.#receive(item),
      over: () => this.#lose(),
      sealed: () => this.handBack(),
    })
    const [epoch] = splitId(first)
    const log = `call:${id}`
    this.#endWatch = watcher.watch(scope, log, ({ topic, value }) => {
      if (topic === log && splitId(value)[0] > epoch) this.#lose()
    }).end
    this.#inbox.catchUp(past?.inbox ?? [])
    this.#isRetried = false
  }

  get open() {
    return this.#journal.open
  }

  /** Its client need not stay, and asks for it by name. */
  get isTask(): boolean {
    return this.#task?.isTask ?? false
  }

  /**
   * Of a client that knows no tasks: unless the call ends before, its request is answered with this, and the call goes on as a task.
   * No-op for one that is a task, or is to be one.
   */
  becomesTask(terms: TaskTerms, answer: (task: { begunAt: number }) => JsonRpcResponse) {
    if (this.#task || !this.open) return
    const begunAt = this.#begunAt
    this.#task = this.#taskOf(terms, false, () => answer({ begunAt }))
  }

  /** Nothing of it is left to run here. */
  get isOver() {
    return this.#unanswered.size === 0
  }

  /** When it is ended if it is a task, or may become one, in ms since 1970. */
  get endsAt(): number | undefined {
    return this.#task?.endsAt
  }

  /** Of a call that nothing runs. */
  endIfExpired(): boolean {
    if (this.#task?.leftMs !== 0) return false
    this.#expire()
    return true
  }

  /** For how long it must be kept from now on, whether or not it ends; 0: for no longer than any call. */
  get keptMs(): number {
    return this.#task?.isTask ? this.#task.leftMs : 0
  }

  /** Its last response, once a handler has given it: the journal may not have it yet. */
  get answered() {
    return this.#answered
  }

  /** Repeats an operation while the store is away: a call that is in its journal waits for it, and could not be ended before. */
  whileStoreFails<T>(operation: () => Promise<T>): Promise<T> {
    return whileStoreFails(operation, this.#abandoned, REFUSED_FOR_MS)
  }

  /** Says who runs the call, and what is left to run: a request may have been cancelled by now. */
  runOn(server: CallServer): Array<[dispatchId: string, request: JsonRpcRequest]> {
    this.#server = server
    return [...this.#unanswered]
  }

  readonly isJournaled = true

  async journaled() {
    return this
  }

  handlerOf(request: JsonRpcRequest): BegunHandler {
    return this.#handlers?.[this.requests.indexOf(request)] ?? 'plain'
  }

  noteHandler(request: JsonRpcRequest, kind: HandlerKind): Promise<unknown> | undefined {
    if (this.handlerOf(request) === kind) return undefined
    const place = this.requests.indexOf(request)
    this.#handlers = this.requests.map((each) => (each === request ? kind : this.handlerOf(each)))
    return this.#journal.append({ kind: 'handler', handler: { kind, request: place } })
  }

  async send(message: JsonRpcMessage, step?: string, origin?: Origin) {
    if (this.#sent.takeNotification(message, step)) {
      if (origin) await this.record({ again: { message, origin } })
      return
    }
    const isWithdrawal = isNotification(message) && message.method === WITHDRAWAL
    if (isWithdrawal) {
      this.questions.withdrawn(String(message.params?.['requestId']))
      this.#task?.answered()
    }
    const kind = isWithdrawal && this.#close.endsScope ? 'withdrawn' : 'message'
    const record = { kind, message, ...(step !== undefined && { step }) } as const
    if (origin) await this.#journal.append({ ...record, origin })
    else await this.#journal.post(record)
  }

  /** Notes where the server behind this one stands with the call. */
  async record(proxy: ProxyRecord) {
    await this.#journal.append({ kind: 'proxy', proxy })
  }

  /** The upstream goes on where its stream broke; only what stood behind that place may come again. */
  resumes(sent: SentMessages) {
    this.#sent = sent
  }

  /** The call is run once more on this node: what it has sent so far was sent by an earlier run. */
  async startOver() {
    const { sent } = await EarlierRuns.read(this.readJournal())
    this.#sent = sent
  }

  ask(question: JsonRpcRequest, outgoing: Outgoing, origin?: Origin) {
    return this.questions.ask(question, outgoing, origin)
  }

  async respond(dispatched: string, response: JsonRpcResponse) {
    const request = this.#unanswered.get(dispatched)
    if (!request) return
    const message = { ...response, id: request.id }
    const isLast = this.#unanswered.size === 1
    const record = this.#journal.encode({ kind: isLast ? 'response' : 'message', message })
    this.#unanswered.delete(dispatched)
    this.#retain(asksForInput(response) ? this.#services.inputTtlMs : 0)
    try {
      const recorded = this.#journal.append(record)
      if (isLast) this.#answered = new Answer(message, recorded)
      await recorded
    } catch (error) {
      if (error instanceof UnrecordableError) this.#unanswered.set(dispatched, request)
      throw error
    }
  }

  /**
   * Ends a request without an answer. The terminal record goes first, so that a response that is already on its way to the journal
   * wins or loses as a whole.
   */
  cancel(dispatched: string, reason: string) {
    if (!this.#unanswered.delete(dispatched)) return
    this.#retain(0)
    const recorded =
      this.#unanswered.size === 0 ? this.#journal.append({ kind: 'cancelled', reason }) : Promise.resolve()
    recorded.then(
      () => this.#server?.cancel(dispatched, reason),
      () => undefined,
    )
  }

  /** Nothing is known of an earlier one. */
  get isFirstRun() {
    return this.#steps === undefined
  }

  /** The newest record of a step from an earlier run. */
  step(id: string): StepRecord | undefined {
    const recorded = this.#steps?.get(id)
    if (recorded || !this.#steps) return recorded
    // A question without a record has no answer yet, and its name is taken.
    const kind = this.questions.kindOf(id)
    return kind && { id, kind, phase: 'started' }
  }

  /** The newest records of earlier runs, as `keepNewest` keeps them. */
  get stepRecords(): Iterable<StepRecord> {
    return this.#steps?.values() ?? []
  }

  recordStep(step: StepRecord, receipt: Receipt, effect?: Effect, durability?: Durability) {
    this.#journal.write({ kind: 'step', step }, receipt, effect, durability)
  }

  /** Waits for a store that is away; rejects if the store can't do it. */
  async requireDurability(durability: Durability) {
    const { store } = this.#services
    await whileStoreFails(() => requireDurability(store, durability), this.#abandoned, 0)
  }

  /** Everything in the journal so far, by pages. */
  readJournal(): AsyncGenerator<Entry[], void> {
    return readPages(this.#services.store, this.scope, `call:${this.id}`, this.#abandoned)
  }

  /** It has not run: the same request may come again, and runs then. */
  mayComeAgain() {
    this.#close.keepKey = false
  }

  /** Answers with an error what this node was told to run and did not. */
  failUnrun(message: string) {
    this.mayComeAgain()
    return this.end(({ id }) =>
      errorResponse(id, ErrorCode.internalError, `The call was not run: ${message}`),
    )
  }

  /** Answers whatever is left of the call in its place. */
  async end(answer: (request: JsonRpcRequest) => JsonRpcResponse) {
    for (const [dispatched, request] of this.#unanswered) await this.respond(dispatched, answer(request))
  }

  /** Stops without a terminal record: this node is going, or lost the journal. */
  abandon(reason: string) {
    this.#stop(reason)
  }

  /** As `abandon`, where this node lacks the key of something that the call needs: another one goes on with it, unless its end is on its way. */
  handBack() {
    if (this.open && !this.#abandoned.aborted) this.#onSealed()
  }

  /** As `abandon`, where the code here does not fit the journal: the call is parked. */
  diverge(divergence: Divergence) {
    if (!this.#abandoned.aborted) this.#onDiverged(divergence, this.#inbox.heard)
  }

  /** Of a call that is parked so: an operator has it tried again, now or since its inbox was read. */
  whenRetried(retry: () => void) {
    this.#onRetried = retry
    if (this.#isRetried) retry()
  }

  /** The record that stands last; `undefined`: one is on its way. */
  get last() {
    return this.#journal.last
  }

  /** What its handler waits for, if it does nothing else; see `park`. */
  get wait(): Wait | undefined {
    const [[dispatched, request] = []] = this.#unanswered
    if (!request || this.#inbox.isHeld || !this.#close.endsScope || !this.open) return undefined
    // What is asked in a plain tool is asked by code that may have had effects which are recorded nowhere.
    if (request.method === 'tools/call' && this.handlerOf(request) !== 'durable') return undefined
    const waiting = this.#server?.waiting(dispatched ?? '')
    // What is not asked by name is asked by no step, and may not come again in another run.
    if (!waiting || waiting.questions !== this.questions.open) return undefined
    // Its client waits to hear that it is a task.
    if (this.#task?.isTask === false && waiting.questions === 0) return undefined
    const { since = 0, answerBy } = this.questions.wait ?? {}
    const endsAt = Math.min(answerBy ?? Number.POSITIVE_INFINITY, this.endsAt ?? Number.POSITIVE_INFINITY)
    const wakeAt =
      waiting.until < Number.POSITIVE_INFINITY ? Math.ceil(Math.min(waiting.until, endsAt)) : undefined
    return { since: Math.max(waiting.since, since), answerBy, wakeAt }
  }

  /**
   * Ends its run here once `park` has taken the call from this node, which it does only if nothing was recorded of it, and nothing
   * has come for it, since it stood as is given. What comes meanwhile is for whoever owns the call then. False: it goes on here, or waits
   * for something else by now.
   */
  async park(wait: Wait, park: (standing: Standing) => Promise<boolean>): Promise<boolean> {
    const { wait: now } = this
    const { last } = this.#journal
    if (now?.since !== wait.since || now.wakeAt !== wait.wakeAt || last === undefined) return false
    return this.#handOver(() => park({ last, inbox: this.#inbox.heard }))
  }

  /** As `park`, for a call that nothing has begun to run on this node. */
  async queue(park: (standing: Standing) => Promise<boolean>): Promise<boolean> {
    const { last } = this.#journal
    return last !== undefined && (await this.#handOver(() => park({ last, inbox: this.#inbox.heard })))
  }

  #handOver(handOver: () => Promise<boolean>): Promise<boolean> {
    return this.#inbox.holdWhile(async () => {
      const isNobodys = await handOver()
      if (isNobodys) this.abandon('It only waits, and goes on when that is over.')
      return isNobodys
    })
  }

  #receive(item: InboxItem | undefined): boolean {
    if (item?.kind === 'answer') {
      this.questions.answered(item.question, item.json)
      this.#task?.answered()
    }
    // The request has its answer: to cancel that, or to close its stream, is nothing to the task.
    if (item?.kind === 'cancelled' && !(item.ofRequest && this.isTask)) this.#cancelAll(item)
    if (item?.kind === 'retried') {
      this.#isRetried = true
      this.#onRetried()
    }
    if (item?.kind === 'woken') this.sleeps.wake(item.steps)
    return this.open
  }

  #cancelAll({ requestKey: key, reason }: InboxItem & { kind: 'cancelled' }) {
    for (const [dispatched, request] of this.#unanswered) {
      if (requestKeyPrefix(request.id) === key) this.cancel(dispatched, reason)
    }
  }

  #expire() {
    this.#cancelFirst('The task has run for as long as it may (taskTtlMs).')
  }

  #cancelFirst(reason: string) {
    const [[dispatched] = []] = this.#unanswered
    if (dispatched !== undefined) this.cancel(dispatched, reason)
  }

  #taskOf(terms: TaskTerms, isTask: boolean, answer?: () => JsonRpcResponse) {
    return new CallTask({
      terms,
      begunAt: this.#begunAt,
      isTask,
      isAsking: () => this.questions.isAsking,
      record: () => this.#journal.append({ kind: 'task', ...(answer && { answer: answer() }) }),
      expired: () => this.#expire(),
    })
  }

  /** A task is there for its time, and then as long as any call. */
  #retain(otherwiseMs: number) {
    const { resumeWindowMs } = this.#services
    const { keptMs } = this
    this.#close.retainMs = Math.max(resumeWindowMs, otherwiseMs, keptMs > 0 ? keptMs + resumeWindowMs : 0)
  }

  #lose() {
    this.#stop('The call has moved to another node or was deleted.')
  }

  #stop(reason: string) {
    this.#abandoned.abort()
    for (const dispatched of this.#unanswered.keys()) this.#server?.cancel(dispatched, reason, true)
    this.#unanswered.clear()
    this.#end(false)
  }

  #end(isRecorded: boolean) {
    this.#inbox.end()
    this.questions.end()
    this.#task?.end()
    this.#endWatch()
    this.#onEnded(isRecorded)
  }
}

/** The last response, on its way to the journal. A class, not a literal: see CONTRIBUTING.md. */
class Answer {
  constructor(
    readonly message: JsonRpcResponse,
    readonly recorded: Promise<unknown>,
  ) {}
}

const NOTHING = {}

/** Without a session, a request may come with answers that nothing has asked for yet. */
function givenWith([request]: readonly JsonRpcRequest[]): Record<string, unknown> {
  const given = request?.params?.['inputResponses']
  return typeof given === 'object' && given !== null ? (given as Record<string, unknown>) : NOTHING
}
