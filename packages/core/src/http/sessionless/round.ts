import { isShown, isTerminal, parseRecord, splitRecord } from '../../call/record.js'
import { ErrorCode, errorResponse, isRequest } from '../../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest } from '../../json-rpc.js'
import { META } from '../../protocol.js'
import type { Entry, EntryId } from '../../store/store.js'
import { encodeEvent, event, primingEvent } from '../events.js'
import type { EventStream } from '../event-stream.js'
import { encodeAlias, underAlias } from './alias.js'
import type { Alias } from './alias.js'
import { nameOf } from './place.js'
import type { CallPlace } from './place.js'

/** What is asked at once goes to the client at once. */
const GATHER_MS = 20

/** Longer ids of events get no alias, and the stream can't be resumed. */
const MOST_ALIAS = 1024

/** A question of the call, by what the client answers it by. */
export type Asked = { key: string; question: JsonRpcRequest }

/** Of a record `question` or `withdrawn`: what is asked, or the id of what is not any more. */
export function readQuestion(data: string): Asked | string | undefined {
  const record = parseRecord(data)
  if (record.kind !== 'question' && record.kind !== 'withdrawn') return undefined
  const { message, step } = record
  if (isRequest(message))
    return { key: step === undefined ? String(message.id) : decodeURIComponent(step), question: message }
  return 'method' in message ? String(message.params?.['requestId']) : undefined
}

type RoundStart = {
  place: CallPlace
  /** The id of the first request, if there is no alias. */
  id: JsonRpcRequest['id']
  alias?: Alias | undefined
  serverInfo: unknown
  /** Questions that wait for answers as the stream begins. */
  open?: readonly Asked[]
  /** Questions of which later entries of the journal may tell, and which are answered or withdrawn. */
  closed?: ReadonlySet<string>
  after: EntryId
}

/**
 * What one request hears of a call: messages and the response, or what the call waits for. Then its stream ends, and the
 * client sends the request again with the answers (2026-07-28, "Multi Round-Trip Requests").
 */
export class Round {
  readonly #start: RoundStart
  readonly #open = new Map<string, Asked>()
  readonly #suffix: string | undefined
  #last: EntryId
  #timer: NodeJS.Timeout | undefined
  #stream: EventStream | undefined

  constructor(start: RoundStart) {
    this.#start = start
    this.#last = start.after
    const alias = start.alias && encodeAlias(start.alias)
    this.#suffix = alias === undefined ? '' : alias.length <= MOST_ALIAS ? `~${alias}` : undefined
    for (const asked of start.open ?? []) this.#open.set(String(asked.question.id), asked)
    if (this.#open.size > 0) this.#tellSoon()
  }

  /** The stream that shows the round. */
  shownOn(stream: EventStream) {
    this.#stream = stream
  }

  end() {
    clearTimeout(this.#timer)
  }

  preamble(retryMs: number) {
    const { after } = this.#start
    return this.#suffix === undefined ? '' : primingEvent(this.#id(after), retryMs)
  }

  readonly encode: typeof encodeEvent = (log, entry) => {
    const { kind, json } = splitRecord(entry.data)
    if (kind === 'question' || kind === 'withdrawn') {
      this.#asked(entry)
      return { event: undefined, last: false }
    }
    const last = isTerminal(kind)
    if (last) this.end()
    if (kind === 'cancelled')
      return { event: this.#event(this.#id(entry.id, true), this.#cancelled(entry)), last }
    const { alias, place } = this.#start
    if (!isShown(kind)) return { event: undefined, last }
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

  #asked({ id, data }: Entry) {
    const asked = readQuestion(data)
    if (typeof asked === 'string') return void this.#open.delete(asked)
    const name = String(asked?.question.id)
    if (!asked || this.#start.closed?.has(name)) return
    this.#open.set(name, asked)
    this.#last = id
    this.#tellSoon()
  }

  /** For a client that comes back too late: it would wait for an answer. */
  #cancelled({ data }: Entry) {
    const { alias, id } = this.#start
    const { reason } = parseRecord(data) as { reason: string }
    return errorResponse(alias ? alias.id : id, ErrorCode.internalError, `The call was cancelled: ${reason}`)
  }

  #tellSoon() {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      if (this.#open.size > 0) this.#stream?.finish(this.#event(this.#id(this.#last, true), this.#required()))
    }, GATHER_MS)
  }

  #required() {
    const { alias, id, place, serverInfo } = this.#start
    const inputRequests = Object.fromEntries(
      [...this.#open.values()].map(({ key, question }) => [key, bare(question)]),
    )
    const result = {
      resultType: 'input_required',
      inputRequests,
      requestState: `${nameOf(place)}.${this.#last}`,
      ...(serverInfo !== undefined && { _meta: { [META.serverInfo]: serverInfo } }),
    }
    return { jsonrpc: '2.0', id: alias ? alias.id : id, result }
  }
}

/** Its id is that of the answer, and there is no progress on it. */
function bare({ method, params }: JsonRpcRequest) {
  const { _meta, elicitationId: _, ...rest } = params ?? {}
  const { progressToken: __, ...meta } = _meta ?? {}
  return { method, params: { ...rest, ...(Object.keys(meta).length > 0 && { _meta: meta }) } }
}
