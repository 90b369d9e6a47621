import type { Effect, Receipt, StepRecord } from '../context/call-log.js'
import { UnrecordableError } from '../errors.js'
import { requestKeyPrefix } from '../ids.js'
import { ErrorCode, errorResponse, isNotification } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { LazyAbort } from '../lazy-abort.js'
import { readPages, whileStoreFails } from '../store/retry.js'
import { BEGINNING, splitId } from '../store/store.js'
import type { CloseCall, Entry, EntryId } from '../store/store.js'
import { Tail } from '../store/tail.js'
import { EarlierRuns, SentMessages } from './earlier-runs.js'
import { Journal } from './journal.js'
import type { JournalServices } from './journal.js'
import { decodeInboxItem } from './inbox.js'
import type { InboxItem } from './inbox.js'
import { Questions, WITHDRAWAL } from './questions.js'
import type { Outgoing } from './questions.js'
import type { BegunHandler, HandlerKind, ProxyRecord, Origin } from './record.js'

/** What runs the requests of a call: an SDK server object, one layer up. */
export interface CallServer {
  /**
   * Aborts the handler of one dispatched request; it answers nothing any more. `moved`: the call goes on elsewhere, so
   * a server that outlives this node must not hear of it.
   */
  cancel(dispatchId: string, reason: string, moved?: boolean): void
  /** A client's answer to a question of this call, or its progress on one. */
  receive(message: JsonRpcMessage): void
}

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
  readonly isJournaled: boolean
  /** The call in its journal; a request that is not journaled yet is now. */
  journaled(): Promise<Call>
}

/** How long a call that can't begin repeats what the store refuses before it ends with an error. */
const REFUSED_FOR_MS = 2500

export type CallServices = JournalServices & { resumeWindowMs: number; inputTtlMs: number }
export type CallStart = {
  scope: string
  id: string
  requests: readonly JsonRpcRequest[]
  /** This node's first record: the request, or the claim of a call that was another's. */
  first: EntryId
  requestKeys: readonly string[]
  /** The first request key stands for the call also when that has ended. */
  keepKey: boolean
  /** The scope was made with the call, and goes with it. */
  endsScope: boolean
  /** What the request record says of its handlers. */
  handlers?: readonly BegunHandler[] | undefined
  /** What earlier runs left: their records, and what has arrived in the inbox. */
  past?: { runs: EarlierRuns; inbox: readonly Entry[] }
  /** Called when nothing more will be appended by this node. */
  onEnded: () => void
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
  /** 1 on the first run, one more with every takeover. */
  readonly attempt: number
  readonly #services: CallServices
  readonly #journal: Journal
  readonly questions: Questions
  readonly #inbox: Tail
  readonly #unanswered: Map<string, JsonRpcRequest>
  readonly #endWatch: () => void
  readonly #close: CloseCall
  readonly #steps: ReadonlyMap<string, StepRecord> | undefined
  #sent: SentMessages
  #server: CallServer | undefined
  #handlers: readonly BegunHandler[] | undefined
  #answered: { message: JsonRpcResponse; recorded: Promise<unknown> } | undefined
  readonly #onEnded: () => void
  readonly #abandoned = new LazyAbort()

  constructor(
    services: CallServices,
    { scope, id, requests, first, past, requestKeys, keepKey, endsScope, handlers, onEnded }: CallStart,
  ) {
    const { store, watcher, resumeWindowMs } = services
    this.id = id
    this.scope = scope
    this.requests = requests
    this.attempt = past?.runs.attempt ?? 1
    this.#services = services
    this.#onEnded = onEnded
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
      onClosed: () => this.#end(),
    })
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
      unanswered: () => {
        const requestKey = requestKeyPrefix(requests[0]?.id ?? 0)
        this.#cancel({ kind: 'cancelled', requestKey, reason: 'The client has not answered in time.' })
      },
    })
    this.#inbox = new Tail(
      store,
      watcher,
      { scope, log: `call:${id}:in`, after: past?.inbox.at(-1)?.id ?? BEGINNING, caughtUp: !past },
      { write: (entry) => this.#received(decodeInboxItem(entry.data)), over: () => this.#lose() },
    )
    const [epoch] = splitId(first)
    const log = `call:${id}`
    this.#endWatch = watcher.watch(scope, log, ({ topic, value }) => {
      if (topic === log && splitId(value)[0] > epoch) this.#lose()
    }).end
    for (const entry of past?.inbox ?? []) this.#received(decodeInboxItem(entry.data))
  }

  get open() {
    return this.#journal.open
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

  /** What has run a request, or is about to, by the journal. */
  handlerOf(request: JsonRpcRequest): BegunHandler {
    return this.#handlers?.[this.requests.indexOf(request)] ?? 'plain'
  }

  /** Notes what runs a request from here on, which must not begin before this has resolved; `undefined`: the journal says so already. */
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
    const isWithdrawal = this.#close.endsScope && isNotification(message) && message.method === WITHDRAWAL
    const kind = isWithdrawal ? 'withdrawn' : 'message'
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
    try {
      const recorded = this.#journal.append(record)
      if (isLast) this.#answered = { message, recorded }
      await recorded
    } catch (error) {
      if (error instanceof UnrecordableError) this.#unanswered.set(dispatched, request)
      throw error
    }
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

  recordStep(step: StepRecord, receipt: Receipt, effect?: Effect) {
    this.#journal.write({ kind: 'step', step }, receipt, effect)
  }

  /** Everything in the journal so far, by pages. */
  readJournal(): AsyncGenerator<Entry[], void> {
    return readPages(this.#services.store, this.scope, `call:${this.id}`, this.#abandoned)
  }

  /** Answers with an error what this node was told to run and did not. The same request may come again, and runs then. */
  failUnrun(message: string) {
    this.#close.keepKey = false
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

  #received(item: InboxItem | undefined): boolean {
    if (item?.kind === 'answer') this.questions.answered(item.question, item.json)
    if (item?.kind === 'cancelled') this.#cancel(item)
    return this.open
  }

  /** The terminal record goes first, so that a response that is already on its way to the journal wins or loses as a whole. */
  #cancel({ requestKey: key, reason }: InboxItem & { kind: 'cancelled' }) {
    for (const [dispatched, request] of this.#unanswered) {
      if (requestKeyPrefix(request.id) !== key) continue
      this.#unanswered.delete(dispatched)
      const recorded =
        this.#unanswered.size === 0 ? this.#journal.append({ kind: 'cancelled', reason }) : Promise.resolve()
      recorded.then(
        () => this.#server?.cancel(dispatched, reason),
        () => undefined,
      )
    }
  }

  #lose() {
    this.#stop('The call has moved to another node or was deleted.')
  }

  #stop(reason: string) {
    this.#abandoned.abort()
    for (const dispatched of this.#unanswered.keys()) this.#server?.cancel(dispatched, reason, true)
    this.#unanswered.clear()
    this.#end()
  }

  readonly #end = () => {
    this.#inbox.end()
    this.questions.end()
    this.#endWatch()
    this.#onEnded()
  }
}

const NOTHING = {}

/** Without a session, a request may come with answers that nothing has asked for yet. */
function givenWith([request]: readonly JsonRpcRequest[]): Record<string, unknown> {
  const given = request?.params?.['inputResponses']
  return typeof given === 'object' && given !== null ? (given as Record<string, unknown>) : NOTHING
}

/** The id under which the server knows a request: unique on the server whatever ids clients choose, and the same after a takeover. */
export function dispatchId(callId: string, requests: readonly JsonRpcRequest[], index: number) {
  return requests.length === 1 ? callId : `${callId}.${index}`
}
