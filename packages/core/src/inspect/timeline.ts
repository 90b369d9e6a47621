import { decodeInboxItem, parseAnswer } from '../call/inbox.js'
import type { InboxItem } from '../call/inbox.js'
import { WITHDRAWAL } from '../call/questions.js'
import { parseRecord } from '../call/record.js'
import type { CallRecord, ParkedCall } from '../call/record.js'
import { deadlineOf, intentOf } from '../context/call-log.js'
import type { Divergence } from '../context/divergence.js'
import type { StepRecord } from '../context/call-log.js'
import { digest } from '../ids.js'
import { describeSealed } from '../seal/describe-sealed.js'
import { isNotification, isRequest } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcNotification, JsonRpcResponse } from '../json-rpc.js'
import { isOutcomeUnknown } from '../session/recovery.js'
import type { Entry } from '../store/store.js'
import type { CallEvent, MadeOf, Outcome, RequestSummary, StepName } from './call-event.js'
import { asMessage, payloadOf, titleOf } from './messages.js'
import { decodeStored } from './stored-values.js'

/** `at`: when the store took it, in ms since 1970 by the store's clock. */
export type TimedEntry = Entry & { at: number }

/** `version`: of the code of the node, if that has one. */
export type Attempt = { node: string; at: number; epoch: number; version: string | undefined }
/** `done`: with a response, whatever it is. */
export type CallStatus = 'open' | 'done' | 'cancelled'
/** The newest that is known of a step. */
export type StepSummary = StepName & { phase: StepRecord['phase']; at: number; ms: number | undefined }

/** `closedAt`: when it was answered or withdrawn. `step`: which asked, once that has ended. */
export type AskedQuestion = {
  title: string
  at: number
  closedAt: number | undefined
  step: StepName | undefined
}
type Bare = CallEvent extends infer E
  ? E extends CallEvent
    ? Omit<E, 'id' | 'at' | 'attempt'>
    : never
  : never

const DEADLINE = deadlineOf('')
const INTENT = intentOf('')

/**
 * What the journal of a call tells, entry by entry. Give it the entries of the journal in order, and those of the
 * inbox whenever; each is answered with what it says.
 */
export class CallTimeline {
  readonly callId: string
  readonly attempts: Attempt[] = []
  readonly steps = new Map<string, StepSummary>()
  requests: RequestSummary[] = []
  /** Its client asks for it by name (2026-07-28, tasks). */
  isTask = false
  /** It waits for its turn: a quota is full. */
  isQueued = false
  /** It is parked: its journal does not fit the code that has tried it. */
  divergence: Divergence | undefined
  /** The call that it does again, or goes on from. */
  of: MadeOf | undefined
  /** The version that its client spoke. */
  protocol = ''
  /** Its first record can't be read: which key it is sealed with. What the call is, and whether it has ended, its records don't tell. */
  sealed: string | undefined
  status: CallStatus = 'open'
  /** How the last response came out. */
  outcome: Outcome | undefined
  endedAt: number | undefined
  /** The first record can't be read: what stands in place of its requests. */
  #unread: string | undefined
  readonly #questions = new Map<string, AskedQuestion>()
  /** Of steps that have not ended: when their time is up, in ms since 1970. */
  readonly #deadlines = new Map<string, number>()
  #lastDivergence: Divergence | undefined
  #isParked = false
  #isPassed = false

  constructor(callId: string) {
    this.callId = callId
  }

  get openedAt(): number {
    return this.attempts[0]?.at ?? 0
  }

  /** Of the code that runs it, or has run it last. */
  get version(): string | undefined {
    return this.attempts.at(-1)?.version
  }

  /** What the call is: its method and tool, of a batch all of them. */
  get title(): string {
    return this.#unread ?? this.requests.map(({ title }) => title).join(', ')
  }

  /** What was asked, in that order. */
  get questions(): AskedQuestion[] {
    return [...this.#questions.values()]
  }

  /** Titles of the questions that were asked, and neither answered nor withdrawn. */
  get pendingQuestions(): string[] {
    if (this.status !== 'open') return []
    return [...this.#questions.values()]
      .filter((asked) => asked.closedAt === undefined)
      .map((asked) => asked.title)
  }

  /** When the call wakes next, in ms since 1970, if it sleeps. */
  get wakesAt(): number | undefined {
    if (this.status !== 'open') return undefined
    const sleeps = [...this.#deadlines].filter(([id]) => !this.#questions.has(this.#questionOf(id)))
    return sleeps.length === 0 ? undefined : Math.min(...sleeps.map(([, until]) => until))
  }

  /** The next entry of the journal. `undefined`: not one that this version knows, or one that tells nothing of the call. Never throws. */
  add(entry: TimedEntry): CallEvent | undefined {
    const sealed = describeSealed(entry.data)
    if (sealed !== undefined) {
      if (this.attempts.length === 0) this.sealed = sealed
      return this.#event(entry, this.#notRead(entry, sealed, { kind: 'sealed', sealed }))
    }
    return this.#told(entry, () => {
      // What this version does not know is nothing.
      const record = parseRecord(entry.data) as CallRecord | undefined
      return record && record.kind !== 'proxy' && record.kind !== 'handler' && this.#record(record, entry)
    })
  }

  /** An entry of the inbox. Never throws. */
  addInbox(entry: TimedEntry): CallEvent | undefined {
    const sealed = describeSealed(entry.data)
    if (sealed !== undefined) return this.#event(entry, { kind: 'sealed', sealed })
    return this.#told(entry, () => {
      const item = decodeInboxItem(entry.data)
      return item && this.#item(item, entry.at)
    })
  }

  /** An entry that is not as it should be tells that, and hides no other one. */
  #told(entry: TimedEntry, tell: () => Bare | false | undefined): CallEvent | undefined {
    let bare: Bare | false | undefined
    try {
      bare = tell()
    } catch {
      bare = this.#notRead(entry, 'unreadable', { kind: 'unreadable', payload: entry.data })
    }
    return bare ? this.#event(entry, bare) : undefined
  }

  #event({ id, at }: TimedEntry, bare: Bare): CallEvent {
    const attempt = Math.max(1, this.attempts.filter((candidate) => candidate.at <= at).length)
    return { id, at, attempt, ...bare }
  }

  /** The first one began the call, whatever it says. */
  #notRead({ id, at }: TimedEntry, title: string, bare: Bare): Bare {
    if (this.attempts.length === 0) {
      this.#unread = title
      this.attempts.push({ node: '', at, epoch: epochOf(id), version: undefined })
    }
    return bare
  }

  #item(item: InboxItem, at: number): Bare {
    switch (item.kind) {
      case 'cancelled':
        return { kind: 'cancel-asked', by: item.by && text(item.by), payload: item.reason }
      case 'woken':
        return { kind: 'wake-asked', by: text(item.by), steps: item.steps.map(nameOf) }
      case 'retried':
        return { kind: 'retry-asked', by: text(item.by) }
      case 'became':
        return { kind: 'became', ...madeOf(item) }
      case 'answer':
        return this.#answer(asMessage(parseAnswer(item.json)), at)
    }
  }

  #record(record: Exclude<CallRecord, { kind: 'proxy' | 'handler' }>, { id, at }: TimedEntry): Bare {
    switch (record.kind) {
      case 'request': {
        const { version, of } = record.request
        const node = text(record.request.node)
        const protocol = text(record.request.protocol)
        const messages = record.request.messages.map((message) => asMessage(message))
        this.of = of && madeOf(of)
        this.#isParked = of !== undefined
        this.#isPassed = this.#isParked
        this.attempts.push({ node, at, epoch: epochOf(id), version })
        this.protocol = protocol
        this.requests = messages.map((message) => ({ id: message.id, title: titleOf(message) }))
        const params = messages.map((message) => message.params)
        const payload = params.length === 1 ? params[0] : params
        return { kind: 'opened', node, version, protocol, requests: this.requests, of: this.of, payload }
      }
      case 'claim': {
        const { version } = record.claim
        const node = text(record.claim.node)
        this.divergence = undefined
        this.isQueued = false
        const last = this.attempts.at(-1)
        const attempt = { node, at, epoch: epochOf(id), version }
        if (this.#isParked && last) {
          const passed = this.#isPassed
          this.#isParked = false
          this.#isPassed = false
          this.attempts.splice(-1, 1, { ...attempt, at: last.at })
          return { kind: 'continued', node, version, passed }
        }
        this.attempts.push(attempt)
        return { kind: 'taken-over', node, version, from: last?.node }
      }
      case 'returned': {
        const node = text(record.returned.node)
        this.attempts.pop()
        this.divergence = this.#lastDivergence
        return { kind: 'returned', node }
      }
      case 'diverged': {
        const { node, nonce: _nonce, at: _at, heard: _heard, ...divergence } = record.diverged
        if (this.attempts.length > 1) this.attempts.pop()
        this.divergence = divergence
        this.#lastDivergence = divergence
        return { kind: 'diverged', node: text(node), divergence }
      }
      case 'parked':
        this.#isParked = true
        this.isQueued = record.parked.queued !== undefined
        return parked(record.parked)
      case 'passed': {
        const { by, action } = record.passed
        this.#isParked = true
        this.#isPassed = true
        return { kind: 'passed', by: text(by), action: text(action) }
      }
      case 'task':
        this.isTask = true
        return { kind: 'task' }
      case 'step':
        return this.#step(record.step, at)
      case 'message':
      case 'question':
      case 'withdrawn':
        return this.#message(asMessage(record.message), at)
      case 'response': {
        this.#end('done', at)
        const told = response(asMessage(record.message))
        this.outcome = told.outcome
        return { kind: 'response', ms: at - this.openedAt, ...told }
      }
      case 'cancelled':
        this.#end('cancelled', at)
        return { kind: 'cancelled', ms: at - this.openedAt, payload: record.reason }
    }
  }

  #step(record: StepRecord, at: number): Bare {
    this.#lastDivergence = undefined
    if (record.id.includes(DEADLINE) && record.phase === 'done') {
      const until = Number(decodeStored(record.value))
      this.#deadlines.set(record.id.replace(DEADLINE, ''), until)
      return { kind: 'deadline', step: nameOf(record.id), until }
    }
    if (record.id.includes(INTENT) && record.phase === 'done') {
      return { kind: 'step-intended', step: nameOf(record.id), payload: decodeStored(record.value) }
    }
    const step = nameOf(record.id)
    const ms = 'ms' in record ? record.ms : undefined
    this.steps.set(record.id, { ...step, phase: record.phase, at, ms })
    // A question asked by name is the step of that name.
    const asked = this.#questions.get(this.#questionOf(record.id))
    if (asked) {
      asked.closedAt ??= at
      asked.step = step
    }
    if (record.phase === 'done' || record.phase === 'failed') this.#deadlines.delete(record.id)
    switch (record.phase) {
      case 'started':
        return { kind: 'step-started', step }
      case 'cleared':
        return { kind: 'step-cleared', step }
      case 'done':
        return { kind: 'step-done', step, ms, payload: decodeStored(record.value) }
      case 'failed':
        return { kind: 'step-failed', step, ms, payload: decodeStored(record.error) }
    }
  }

  #questionOf(step: string) {
    return `${this.callId}.n${digest(step)}`
  }

  #message(message: JsonRpcMessage, at: number): Bare {
    const payload = payloadOf(message)
    if (isRequest(message)) {
      const title = titleOf(message)
      this.#questions.set(String(message.id), { title, at, closedAt: undefined, step: undefined })
      return { kind: 'question', question: String(message.id), title, payload }
    }
    if (isNotification(message)) {
      const withdrawn = this.#withdrawn(message, at)
      if (withdrawn) return withdrawn
      const progress = message.params?.['progress']
      const step = typeof progress === 'number' ? progress : undefined
      return { kind: 'notification', title: titleOf(message), progress: step, payload }
    }
    return { kind: 'partial-response', ...response(message) }
  }

  /** That nobody waits for an answer any more: in a session the client is told so. */
  #withdrawn({ method, params }: JsonRpcNotification, at: number): Bare | undefined {
    const question = String(params?.['requestId'])
    const asked = method === WITHDRAWAL ? this.#questions.get(question) : undefined
    if (!asked) return undefined
    asked.closedAt ??= at
    return { kind: 'withdrawn', question, title: asked.title, payload: params?.['reason'] }
  }

  #answer(message: JsonRpcResponse, at: number): Bare {
    const question = String(message.id)
    const asked = this.#questions.get(question)
    if (asked) asked.closedAt ??= at
    const ms = asked && at - asked.at
    const refused = 'error' in message
    return { kind: 'answer', question, title: asked?.title, refused, ms, payload: payloadOf(message) }
  }

  #end(status: CallStatus, at: number) {
    this.divergence = undefined
    this.status = status
    this.#isParked = false
    this.endedAt = at
  }
}

const parked = ({ node, answerBy, wakeAt }: ParkedCall) =>
  ({ kind: 'parked', node: text(node), answerBy, wakeAt }) as const

const madeOf = ({ callId, action, by }: MadeOf): MadeOf => ({
  callId: text(callId),
  action: text(action),
  by: text(by),
})

function response(message: JsonRpcResponse) {
  return { outcome: outcomeOf(message), payload: payloadOf(message) }
}

function outcomeOf(message: JsonRpcResponse): Outcome {
  if (isOutcomeUnknown(message)) return 'unknown'
  if (!('result' in message)) return 'error'
  return (message.result as { isError?: unknown }).isError === true ? 'tool-error' : 'result'
}

/** In a batch, ids begin with the number of the request; see `RequestLog`. */
function nameOf(id: string): StepName {
  const [name = '', ...key] = id.replace(DEADLINE, '').replace(INTENT, '').split('\n')
  return { name, key: key.length === 0 ? undefined : key.join('\n') }
}

const epochOf = (id: string) => Number.parseInt(id, 10)

/** Throws for what is none, where a record says otherwise. */
function text<T extends string>(value: T): T {
  if (typeof (value as unknown) !== 'string') throw new TypeError('This is no text.')
  return value
}
