import { decodeKey } from '../../call/question-names.js'
import { WITHDRAWAL } from '../../call/questions.js'
import { isAnswer, isShown, isTerminal, parseRecord, splitRecord } from '../../call/record.js'
import type { CallRecord } from '../../call/record.js'
import { ErrorCode, errorResponse, isRequest } from '../../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest } from '../../json-rpc.js'
import { META } from '../../protocol.js'
import type { Entry, EntryId } from '../../store/store.js'
import { encodeEvent, event, primingEvent } from '../events.js'
import type { EventStream } from '../event-stream.js'
import { encodeAlias, underAlias } from './alias.js'
import { describeTask } from '../../session/describe-task.js'
import type { TaskOf } from '../../session/describe-task.js'
import type { Alias } from './alias.js'
import { nameOf } from '../../session/place.js'
import type { CallPlace } from '../../session/place.js'

/** What is asked at once goes to the client at once. In parts: a process that stood still meanwhile has had no time to ask. */
const GATHER_MS = 20
const PARTS = 2

/** Longer ids of events get no alias, and the stream can't be resumed. */
const MOST_ALIAS = 1024

/** A question of the call, by what the client answers it by. */
export type Asked = { key: string; question: JsonRpcRequest }

/** Of a record that asks, or takes back what was asked: what is asked, or the id of what is not any more. */
export function readQuestion(record: CallRecord): Asked | string | undefined {
  if (record.kind !== 'question' && record.kind !== 'withdrawn' && record.kind !== 'message') return undefined
  const { kind, message, step } = record
  if (isRequest(message)) {
    // In a session the step is that in whose body it was sent.
    const isNamed = kind === 'question' && step !== undefined
    return { key: isNamed ? decodeKey(step) : String(message.id), question: message }
  }
  const isWithdrawal = 'method' in message && message.method === WITHDRAWAL
  return isWithdrawal ? String(message.params?.['requestId']) : undefined
}

export type RoundStart = {
  place: CallPlace
  /** The id of the first request, if there is no alias. */
  id: JsonRpcRequest['id']
  alias?: Alias | undefined
  /** Questions that wait for answers as the stream begins. */
  open?: readonly Asked[]
  /** Questions of which later entries of the journal may tell, and which are answered or withdrawn. */
  closed?: ReadonlySet<string>
  after: EntryId
  /** What it is, or will be, as a task; `undefined`: it can't be one, or its client can't be given one. */
  task?: TaskOf | undefined
}

type RoundServices = {
  serverInfo: unknown
  /** What the client sends along with its answers to what was asked up to an entry. */
  stateAt: (entry: EntryId) => string
}

/**
 * What one request hears of a call: messages and the response, or what the call waits for. Then its stream ends, and the
 * client sends the request again with the answers (2026-07-28, "Multi Round-Trip Requests").
 */
export class Round {
  readonly #start: RoundStart
  readonly #services: RoundServices
  readonly #open = new Map<string, Asked>()
  readonly #suffix: string | undefined
  #last: EntryId
  #timer: NodeJS.Timeout | undefined
  #stream: EventStream | undefined

  constructor(start: RoundStart, services: RoundServices) {
    this.#services = services
    this.#start = { ...start }
    this.#last = start.after
    const alias = start.alias && encodeAlias(start.alias)
    this.#suffix = alias === undefined ? '' : alias.length <= MOST_ALIAS ? `~${alias}` : undefined
    for (const asked of start.open ?? []) this.#open.set(String(asked.question.id), asked)
    if (this.#open.size > 0) this.#tellSoon()
  }

  /** The stream that shows the round. */
  shownOn(stream: EventStream) {
    this.#stream = stream
    if (this.#start.task?.isTask) stream.finish(this.#event(this.#id(this.#last, true), this.#created()))
  }

  end() {
    clearTimeout(this.#timer)
  }

  preamble(retryMs: number) {
    const { after } = this.#start
    return this.#suffix === undefined ? '' : primingEvent(this.#id(after), retryMs)
  }

  readonly encode: typeof encodeEvent = (log, entry) => {
    // What comes between a question and the end of the stream is not told again to the request with the answer.
    this.#last = entry.id
    const record = splitRecord(entry.data)
    const { kind, json } = record
    if (kind === 'question' || kind === 'withdrawn') {
      this.#asked(entry)
      return { event: undefined, last: false }
    }
    const isCreated = kind === 'task' && this.#start.task !== undefined
    const last = isTerminal(kind) || isCreated || isAnswer(record)
    if (last) this.end()
    if (isCreated) return { event: this.#event(this.#id(entry.id, true), this.#created()), last }
    if (kind === 'cancelled')
      return { event: this.#event(this.#id(entry.id, true), this.#cancelled(entry)), last }
    const { alias, place } = this.#start
    if (!isShown(kind) && !last) return { event: undefined, last }
    if (!alias)
      return place.scope === place.callId
        ? encodeEvent(log, entry)
        : { event: event(this.#id(entry.id, last), json), last }
    const message = underAlias(JSON.parse(json) as JsonRpcMessage, alias)
    return { event: this.#event(this.#id(entry.id, last), message), last }
  }

  #id(entry: EntryId, end = false) {
    return `${nameOf(this.#start.place)}.${entry}${end ? '.end' : ''}${this.#suffix ?? ''}`
  }

  #event(id: string, message: unknown) {
    const json = JSON.stringify(message)
    return this.#suffix === undefined ? `event: message\ndata: ${json}\n\n` : event(id, json)
  }

  #asked({ data }: Entry) {
    const asked = readQuestion(parseRecord(data))
    if (typeof asked === 'string') return void this.#open.delete(asked)
    const name = String(asked?.question.id)
    if (!asked || this.#start.closed?.has(name)) return
    this.#open.set(name, asked)
    this.#tellSoon()
  }

  /** For a client that comes back too late: it would wait for an answer. */
  #cancelled({ data }: Entry) {
    const { alias, id } = this.#start
    const { reason } = parseRecord(data) as { reason: string }
    return errorResponse(alias ? alias.id : id, ErrorCode.internalError, `The call was cancelled: ${reason}`)
  }

  #tellSoon() {
    this.#timer ??= this.#wait(PARTS)
  }

  #wait(parts: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#timer = parts > 1 ? this.#wait(parts - 1) : undefined
      if (this.#timer || this.#open.size === 0) return
      this.#stream?.finish(this.#event(this.#id(this.#last, true), this.#required()))
    }, GATHER_MS / PARTS)
  }

  #created() {
    const { place, task } = this.#start
    return this.#result({ resultType: 'task', ...(task && describeTask(place, task, 'working')) })
  }

  #required() {
    const { stateAt } = this.#services
    const inputRequests = Object.fromEntries(
      [...this.#open.values()].map(({ key, question }) => [key, bare(question)]),
    )
    return this.#result({
      resultType: 'input_required',
      inputRequests,
      requestState: stateAt(this.#last),
    })
  }

  #result(of: Record<string, unknown>) {
    const { alias, id } = this.#start
    const { serverInfo } = this.#services
    const result = { ...of, ...(serverInfo !== undefined && { _meta: { [META.serverInfo]: serverInfo } }) }
    return { jsonrpc: '2.0', id: alias ? alias.id : id, result }
  }
}

/** Its id is that of the answer, and there is no progress on it. */
export function bare({ method, params }: JsonRpcRequest) {
  const { _meta, elicitationId: _, ...rest } = params ?? {}
  const { progressToken: __, ...meta } = _meta ?? {}
  return { method, params: { ...rest, ...(Object.keys(meta).length > 0 && { _meta: meta }) } }
}
