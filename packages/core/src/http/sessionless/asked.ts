import type { ClaimedParked } from '../../call/awaited-calls.js'
import { decodeInboxItem } from '../../call/inbox.js'
import { parseRecord } from '../../call/record.js'
import type { TaskTerms } from '../../call/record.js'
import { asksForInput } from '../../input-required.js'
import type { JsonRpcMessage, JsonRpcNotification, JsonRpcRequest, JsonRpcResponse } from '../../json-rpc.js'
import { readPages, within } from '../../store/retry.js'
import { termsIn } from '../../call/call-task.js'
import { BEGINNING, compareIds, splitId } from '../../store/store.js'
import type { Entry, EntryId, Store } from '../../store/store.js'
import type { CallPlace } from '../../session/place.js'
import { readQuestion } from './round.js'
import type { Asked } from './round.js'
import type { TaskOf } from '../../session/describe-task.js'

const READ_WITHIN_MS = 10_000

type AskedAt = Asked & { at: EntryId }

/** What a journal and its inbox say of the questions of a call. */
export type AskedSoFar = {
  first: JsonRpcRequest | undefined
  /** By what the client answers them by. */
  questions: ReadonlyMap<string, AskedAt>
  /** Answered, or withdrawn. */
  closed: Set<string>
  /** How it has ended; `cancelled`: without a response. */
  end: JsonRpcResponse | 'cancelled' | undefined
  /** What it is, or will be, as a task. */
  task: TaskOf | undefined
  /** Its client was told at first that it may become a task. */
  isOffered: boolean
  /** What it has said last of how far it is. */
  progress: Record<string, unknown> | undefined
  /** It was parked, and the time for its answers is over: it is cancelled by the node that claims it. */
  isLate: boolean
  /** It has been said that it is cancelled, and it has not ended yet. */
  isCancelled: boolean
  /** The server behind this one has ended the request by asking for input, and wants to be told `state` again. */
  inner: { state?: unknown; inputRequests?: unknown } | undefined
}

export const readAsked = (store: Store, place: CallPlace) => new AskedView(store, place).look()

/** A call by what has been read of its journal and inbox; each look reads only what has come since. */
export class AskedView {
  readonly #store: Store
  readonly #place: CallPlace
  /** Looks go one after the other. */
  #looking: Promise<unknown> = Promise.resolve()
  #seen = new Seen()

  constructor(store: Store, place: CallPlace) {
    this.#store = store
    this.#place = place
  }

  /** About how many characters it keeps. */
  get size() {
    return this.#seen.size
  }

  look(): Promise<AskedSoFar> {
    const look = this.#looking.then(() => this.#look())
    this.#looking = look.catch(() => undefined)
    return look
  }

  async #look(): Promise<AskedSoFar> {
    const { scope, callId } = this.#place
    const seen = this.#seen
    const ending = within(READ_WITHIN_MS)
    // Before the journal: with the end of the call its inbox goes, and then the journal says that it has ended.
    const inbox = readPages(this.#store, scope, `call:${callId}:in`, ending, {
      after: seen.heard,
      onGone: () => (seen.heard = BEGINNING),
    })
    for await (const page of inbox) for (const entry of page) seen.hear(entry)
    let isGone = false
    const journal = readPages(this.#store, scope, `call:${callId}`, ending, {
      after: seen.last,
      onGone: () => (isGone = true),
    })
    for await (const page of journal) for (const entry of page) seen.add(entry)
    if (!isGone) return seen.sum
    // The same request may have begun it anew.
    this.#seen = new Seen()
    return seen.last === BEGINNING ? this.#seen.sum : this.#look()
  }
}

/** The sum of the entries of a journal and its inbox. */
class Seen {
  last: EntryId = BEGINNING
  heard: EntryId = BEGINNING
  size = 0
  readonly #questions = new Map<string, AskedAt>()
  readonly #closed = new Set<string>()
  #first: JsonRpcRequest | undefined
  #end: AskedSoFar['end']
  #terms: TaskTerms | undefined
  #isTask = false
  #isOffered = false
  #isQueued = false
  #begunAt = 0
  #progress: AskedSoFar['progress']
  #progressChars = 0
  #answerBy: number | undefined
  #inner: AskedSoFar['inner']
  #isCancelled = false

  hear({ id, data }: Entry) {
    this.heard = id
    const item = decodeInboxItem(data)
    if (item?.kind === 'answer') this.#closed.add(item.question)
    if (item?.kind === 'cancelled' && !item.ofRequest) this.#isCancelled = true
  }

  add({ id, data }: Entry) {
    this.last = id
    const record = parseRecord(data)
    if (record.kind === 'request') {
      ;[this.#first] = record.request.messages
      this.#terms = record.request.task
      this.#isOffered = this.#terms !== undefined
      this.#isTask = this.#terms?.afterMs === 0
      this.#begunAt = splitId(id)[0]
      this.#isQueued = record.request.isQueued === true
      this.size += data.length
    }
    if (record.kind === 'task') {
      this.#isTask = true
      this.#terms ??= record.answer && termsIn(record.answer)
    }
    if (record.kind === 'message' && isProgress(record.message)) {
      this.#progress = record.message.params
      this.size += data.length - this.#progressChars
      this.#progressChars = data.length
    }
    const asked = readQuestion(record)
    if (typeof asked === 'string') this.#closed.add(asked)
    else if (asked) {
      this.#questions.set(asked.key, { ...asked, at: id })
      this.size += data.length
    }
    if (record.kind === 'parked') {
      this.#answerBy = record.parked.answerBy
      this.#isQueued = record.parked.queued !== undefined
    }
    if (record.kind === 'claim') this.#isQueued = false
    if (record.kind === 'question') this.#answerBy = undefined
    if (record.kind === 'proxy' && 'asks' in record.proxy) {
      this.#inner = record.proxy.asks
      this.size += data.length
    }
    // What has gone wrong after that is the answer.
    if (record.kind === 'response' && !asksForInput(record.message)) this.#inner = undefined
    if (record.kind === 'response') {
      this.#end = record.message
      this.size += data.length
    }
    if (record.kind === 'cancelled') this.#end = 'cancelled'
  }

  get sum(): AskedSoFar {
    const end = this.#end
    const answerBy = this.#answerBy
    return {
      first: this.#first,
      questions: new Map(this.#questions),
      closed: new Set(this.#closed),
      end,
      task: this.#terms && {
        ttlMs: this.#terms.ttlMs,
        begunAt: this.#begunAt,
        changedAt: splitId(this.last)[0],
        isTask: this.#isTask,
        isQueued: this.#isQueued,
      },
      isOffered: this.#isOffered,
      progress: this.#progress,
      isLate: answerBy !== undefined && Date.now() >= answerBy,
      isCancelled: this.#isCancelled && !end,
      inner:
        this.#inner && end && end !== 'cancelled' && 'result' in end
          ? { ...this.#inner, ...inputRequestsOf(end.result) }
          : undefined,
    }
  }
}

const inputRequestsOf = ({ inputRequests }: Record<string, unknown>) => ({ inputRequests })

const isProgress = (message: JsonRpcMessage): message is JsonRpcNotification =>
  'method' in message && message.method === 'notifications/progress'

/** Those up to an entry that wait for answers. */
export function openOf({ questions, closed, end, isLate }: AskedSoFar, upTo: EntryId): Asked[] {
  if (end || isLate) return []
  return [...questions.values()].filter(
    ({ question, at }) => !closed.has(String(question.id)) && compareIds(at, upTo) <= 0,
  )
}

/** Whether the call waits for its client. */
export const isAsking = ({ questions, closed, end }: AskedSoFar) =>
  !end && [...questions.values()].some(({ question }) => !closed.has(String(question.id)))

/** Whether it is cancelled if its client is gone: else that may come for it at any time. */
export const needsItsClient = (asked: AskedSoFar) => !isAsking(asked) && asked.task?.isTask !== true

/**
 * What of it, if it is parked, is to be claimed for who only looks: one that waits need not be run to be looked at. Whoever has
 * left something for it may have died before claiming it.
 */
export function parkedFor(asked: AskedSoFar): ClaimedParked {
  if (asked.isCancelled) return 'all'
  return isAsking(asked) && !asked.isLate ? 'none' : 'waiting'
}
