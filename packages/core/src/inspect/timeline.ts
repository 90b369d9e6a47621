import { decodeInboxItem, parseAnswer } from '../call/inbox.js'
import { parseRecord } from '../call/record.js'
import type { CallRecord } from '../call/record.js'
import type { StepRecord } from '../context/call-log.js'
import { digest } from '../ids.js'
import { isNotification, isRequest } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcResponse } from '../json-rpc.js'
import type { Entry } from '../store/store.js'
import type { CallEvent, Outcome, RequestSummary, StepName } from './call-event.js'
import { payloadOf, titleOf } from './messages.js'
import { decodeStored } from './stored-values.js'

/** `at`: when the store took it, in ms since 1970 by the store's clock. */
export type TimedEntry = Entry & { at: number }

export type Attempt = { node: string; at: number; epoch: number }
export type CallStatus = 'open' | 'done' | 'cancelled'
/** The newest that is known of a step. */
export type StepSummary = StepName & { phase: StepRecord['phase']; at: number; ms: number | undefined }

type Asked = { title: string; at: number; answeredAt: number | undefined }
type Bare = CallEvent extends infer E
  ? E extends CallEvent
    ? Omit<E, 'id' | 'at' | 'attempt'>
    : never
  : never

const DEADLINE = '\ndeadline\n'

/**
 * What the journal of a call tells, entry by entry. Give it the entries of the journal in order, and those of the
 * inbox whenever; each is answered with what it says.
 */
export class CallTimeline {
  readonly callId: string
  readonly attempts: Attempt[] = []
  readonly steps = new Map<string, StepSummary>()
  requests: RequestSummary[] = []
  status: CallStatus = 'open'
  /** How the last response came out. */
  outcome: Outcome | undefined
  endedAt: number | undefined
  readonly #questions = new Map<string, Asked>()

  constructor(callId: string) {
    this.callId = callId
  }

  get openedAt(): number {
    return this.attempts[0]?.at ?? 0
  }

  /** What the call is: its method and tool, of a batch all of them. */
  get title(): string {
    return this.requests.map(({ title }) => title).join(', ')
  }

  /** Titles of the questions that were sent and not answered. */
  get pendingQuestions(): string[] {
    if (this.status !== 'open') return []
    return [...this.#questions.values()]
      .filter((asked) => asked.answeredAt === undefined)
      .map((asked) => asked.title)
  }

  /** The next entry of the journal. `undefined`: not one that this version knows, or one that tells nothing of the call. */
  add(entry: TimedEntry): CallEvent | undefined {
    const record = parsed(entry)
    if (!record || record.kind === 'proxy' || record.kind === 'handler') return undefined
    return this.#event(entry, this.#record(record, entry))
  }

  /** An entry of the inbox. */
  addInbox(entry: TimedEntry): CallEvent | undefined {
    const item = attempted(() => decodeInboxItem(entry.data))
    if (!item) return undefined
    if (item.kind === 'cancelled') return this.#event(entry, { kind: 'cancel-asked', payload: item.reason })
    const answer = attempted(() => parseAnswer(item.json))
    return answer && this.#event(entry, this.#answer(answer, entry.at))
  }

  #event({ id, at }: TimedEntry, bare: Bare): CallEvent {
    const attempt = Math.max(1, this.attempts.filter((candidate) => candidate.at <= at).length)
    return { id, at, attempt, ...bare }
  }

  #record(record: Exclude<CallRecord, { kind: 'proxy' | 'handler' }>, { id, at }: TimedEntry): Bare {
    switch (record.kind) {
      case 'request': {
        const { node, protocol, messages } = record.request
        this.attempts.push({ node, at, epoch: epochOf(id) })
        this.requests = messages.map((message) => ({ id: message.id, title: titleOf(message) }))
        const params = messages.map((message) => message.params)
        const payload = params.length === 1 ? params[0] : params
        return { kind: 'opened', node, protocol, requests: this.requests, payload }
      }
      case 'claim': {
        const from = this.attempts.at(-1)?.node
        this.attempts.push({ node: record.claim.node, at, epoch: epochOf(id) })
        return { kind: 'taken-over', node: record.claim.node, from }
      }
      case 'returned':
        this.attempts.pop()
        return { kind: 'returned', node: record.returned.node }
      case 'step':
        return this.#step(record.step, at)
      case 'message':
      case 'question':
      case 'withdrawn':
        return this.#message(record.message, at)
      case 'response':
        this.#end('done', at)
        this.outcome = outcomeOf(record.message)
        return { kind: 'response', ms: at - this.openedAt, ...response(record.message) }
      case 'cancelled':
        this.#end('cancelled', at)
        return { kind: 'cancelled', ms: at - this.openedAt, payload: record.reason }
    }
  }

  #step(record: StepRecord, at: number): Bare {
    if (record.id.includes(DEADLINE) && record.phase === 'done') {
      return { kind: 'deadline', step: nameOf(record.id), until: Number(decodeStored(record.value)) }
    }
    const step = nameOf(record.id)
    const ms = 'ms' in record ? record.ms : undefined
    this.steps.set(record.id, { ...step, phase: record.phase, at, ms })
    // A question asked by name is the step of that name.
    const asked = this.#questions.get(`${this.callId}.n${digest(record.id)}`)
    if (asked) asked.answeredAt ??= at
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

  #message(message: JsonRpcMessage, at: number): Bare {
    const payload = payloadOf(message)
    if (isRequest(message)) {
      const title = titleOf(message)
      this.#questions.set(String(message.id), { title, at, answeredAt: undefined })
      return { kind: 'question', question: String(message.id), title, payload }
    }
    if (isNotification(message)) {
      const progress = message.params?.['progress']
      const step = typeof progress === 'number' ? progress : undefined
      return { kind: 'notification', title: titleOf(message), progress: step, payload }
    }
    return { kind: 'partial-response', ...response(message) }
  }

  #answer(message: JsonRpcResponse, at: number): Bare {
    const question = String(message.id)
    const asked = this.#questions.get(question)
    if (asked) asked.answeredAt ??= at
    const ms = asked && at - asked.at
    const refused = 'error' in message
    return { kind: 'answer', question, title: asked?.title, refused, ms, payload: payloadOf(message) }
  }

  #end(status: CallStatus, at: number) {
    this.status = status
    this.endedAt = at
  }
}

function response(message: JsonRpcResponse) {
  return { outcome: outcomeOf(message), payload: payloadOf(message) }
}

function outcomeOf(message: JsonRpcResponse): Outcome {
  if (!('result' in message)) return 'error'
  return (message.result as { isError?: unknown }).isError === true ? 'tool-error' : 'result'
}

/** In a batch, ids begin with the number of the request; see `RequestLog`. */
function nameOf(id: string): StepName {
  const [name = '', ...key] = id.replace(DEADLINE, '').split('\n')
  return { name, key: key.length === 0 ? undefined : key.join('\n') }
}

const epochOf = (id: string) => Number.parseInt(id, 10)

const parsed = ({ data }: Entry) => attempted(() => parseRecord(data))

function attempted<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}
