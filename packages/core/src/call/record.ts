import type { StepRecord } from '../context/call-log.js'
import type { Divergence } from '../context/divergence.js'
import { encodeJson, encodeMessage } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse, RequestId } from '../json-rpc.js'
import type { Trace } from '../signals/telemetry.js'
import type { EntryId } from '../store/store.js'

/**
 * One entry of a journal, written as `<kind> <json>`: readable in the store, and the JSON of a
 * message goes to the client as it stands, without being parsed again.
 */
export type CallRecord =
  | { kind: 'request'; request: RecordedRequest }
  | { kind: 'claim'; claim: Claim }
  /** The node of the claim before it has run nothing of the call, and does not hold on to it. */
  | { kind: 'returned'; returned: { node: string; nonce: string } }
  /** No node runs it, and it is not in the count of runs meanwhile. */
  | { kind: 'parked'; parked: ParkedCall }
  /** The node of the claim before it has code that the journal does not fit: nothing was answered, and the claim is in no count of runs. */
  | { kind: 'diverged'; diverged: Diverged }
  /** Nobody ran it, and somebody who operates the server has given it to the nodes: one of them claims it. */
  | { kind: 'passed'; passed: Passed }
  /**
   * It goes on as a task: its client asks for it by name, and need not stay. `answer`: what that is told in place of the result, if
   * it knows no tasks.
   */
  | { kind: 'task'; answer?: JsonRpcResponse }
  | { kind: 'step'; step: StepRecord }
  /**
   * `step`: a digest of the step in whose body it was sent; of a question, the name that it was asked by, encoded as in a URL.
   * Written `message@<step> <json>`.
   */
  | { kind: SentKind; message: JsonRpcMessage; step?: string; origin?: Origin }
  /** What runs a request of the call from here on, by its place among them, where it differs from what was said before. */
  | { kind: 'handler'; handler: { kind: HandlerKind; request: number } }
  /** Where the server behind this one stands with the call. Not for the client. */
  | { kind: 'proxy'; proxy: ProxyRecord }
  | { kind: 'response'; message: JsonRpcResponse }
  | { kind: 'cancelled'; reason: string }

/** `version`: of the code of the node, if it has one. */
export type Claim = { node: string; nonce: string; version?: string }

/**
 * It waits for its client, until `answerBy`, or to be woken at `wakeAt`; both in ms since 1970. Or for its turn, `queued`: to `start`, or to
 * go on after it had only waited.
 */
export type ParkedCall = {
  node: string
  nonce: string
  answerBy?: number
  wakeAt?: number
  queued?: 'start' | 'go-on'
}

/** `at`: ms since 1970, by the clock of the node. `heard`: how far its inbox was read. `version`: of the code of the node, if it has one. */
export type Diverged = Divergence & { node: string; nonce: string; at: number; heard: EntryId }

/** Without a session the client is not sent a question, nor that it is withdrawn: its request ends with what is open. */
export type SentKind = 'message' | 'question' | 'withdrawn'

/** What is done to a call from outside, and by whom. */
export type Action = 'cancel' | 'resume' | 'retry' | 'fork'
/** Of a fork: the step that it begins with, by its id, and how many records stand behind the request that are not its own. */
export type Descent = {
  scope: string
  callId: string
  action: 'retry' | 'fork'
  by: string
  from?: string
  copied?: number
}
export type Passed = { node: string; nonce: string; by: string; action: Action }

/** What another node needs to dispatch the call again. The access token is not part of it unless `keepToken` says so. */
export type RecordedRequest = {
  messages: readonly JsonRpcRequest[]
  batch: boolean
  protocol: string
  node: string
  /** Of the code of the node that opened it, if that has one. */
  version?: string | undefined
  /** Header of the request: a client that repeats it means the same call, also when that has ended. */
  idempotencyKey?: string | undefined
  authInfo?: Record<string, unknown> | undefined
  /** Where it was sent; only kept for a wrapped handler, which may look at it. */
  url?: string | undefined
  /** The trace it belongs to, if there is one; what runs it next goes on with it. */
  trace?: Trace | undefined
  /** What runs each of the messages; not there: `plain`. */
  handlers?: readonly BegunHandler[] | undefined
  /** It may become a task. */
  task?: TaskTerms | undefined
  /** The ended call that it does again, or goes on from. It was opened by no node, and is run by one that claims it. */
  of?: Descent
  /** It was opened to wait for its turn, or by no node: nothing has begun to run it, and it has no places to run in as long as that is so. */
  isQueued?: boolean | undefined
  /** Those under which it falls. */
  quotas?: readonly CallQuota[] | undefined
  /** Headers that repeat parameters of the tool, for a server behind this one. */
  mirrored?: Readonly<Record<string, string>> | undefined
}

/** A quota that a call falls under: its name in the store, which begins with what is counted, and how many places it has. */
export type CallQuota = { name: string; most: number }

/** `afterMs`: when a call becomes a task that has not ended, 0: it is one from the start. `ttlMs`: how long it is kept. Both from its first record. */
export type TaskTerms = { afterMs: number; ttlMs: number }

/**
 * What kind of handler runs a call: a durable one of a tool, a prompt or a resource; one whose tool is annotated `idempotentHint` or
 * `readOnlyHint`; any other. `listed`: not visible to this process; what the server lists of a tool has to do, until
 * a durable handler says what it is.
 */
export type HandlerKind = 'durable' | 'repeatable' | 'plain' | 'listed'

/** What has begun to run a request. `none`: nothing yet; what does, whatever its kind, writes a record `handler` before. */
export type BegunHandler = HandlerKind | 'none'

/** Where a message stood in the stream of an upstream; for a question also how the upstream knows it. */
export type Origin = { event: string; id?: RequestId; token?: RequestId }

export type ProxyRecord =
  /** The request was sent to the upstream, as `wireId`; `event`: the first place in its stream. */
  | { begun: { session: ProxySession; wireId: RequestId; event?: string } }
  /** The upstream has sent again what an earlier run had sent; `question`: the id that it has at the client. */
  | { again: { message: JsonRpcMessage; origin: Origin; question?: string } }
  /** The server ends the request by asking for input; `state`: what it wants to be told again, which the client does not get. */
  | { asks: { state?: unknown } }
  /** As `handler` with `durable`, for all requests of the call; written by earlier versions. */
  | { durable: true }

/** How a session is known to the server behind this one. No id: the server keeps no sessions. */
export type ProxySession = { id: string | undefined; protocol: string | undefined }

/** From where an upstream can be asked for the rest of a call that it runs. */
export type ResumePoint = {
  session: ProxySession
  wireId: RequestId
  event: string
  /** Questions of the upstream by the ids they have at the client. */
  asked: ReadonlyMap<string, { id: RequestId; token?: RequestId }>
}

export type RecordKind = CallRecord['kind']

/** `<kind>@<step>#<origin> <json>`, step and origin where there are any. Throws an `UnrecordableError`. */
export function encodeRecord(record: CallRecord): string {
  const step = 'step' in record && typeof record.step === 'string' ? `@${record.step}` : ''
  const origin = 'origin' in record && record.origin ? `#${encodeOrigin(record.origin)}` : ''
  return `${record.kind}${step}${origin} ${jsonOf(record)}`
}

export function splitRecord(data: string): {
  kind: RecordKind
  step: string | undefined
  origin: string | undefined
  json: string
} {
  const [head, json = ''] = cut(data, ' ')
  const [named, origin] = cut(head, '#')
  const [kind, step] = cut(named, '@')
  return { kind: kind as RecordKind, step, origin, json }
}

/** At the first mark; `split` takes several times as long. */
function cut(text: string, mark: string): [before: string, behind?: string] {
  const at = text.indexOf(mark)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

const encodeOrigin = (origin: Origin) => encodeURIComponent(JSON.stringify(origin))
const decodeOrigin = (text: string) => JSON.parse(decodeURIComponent(text)) as Origin

export function parseRecord(data: string): CallRecord {
  const { kind, step, origin, json } = splitRecord(data)
  const body = JSON.parse(json) as never
  switch (kind) {
    case 'request':
      return { kind, request: body }
    case 'claim':
      return { kind, claim: body }
    case 'returned':
      return { kind, returned: body }
    case 'parked':
      return { kind, parked: body }
    case 'diverged':
      return { kind, diverged: body }
    case 'passed':
      return { kind, passed: body }
    case 'task':
      return body === true ? { kind } : { kind, answer: body }
    case 'step':
      return { kind, step: body }
    case 'message':
    case 'question':
    case 'withdrawn':
      return {
        kind,
        message: body,
        ...(step !== undefined && { step }),
        ...(origin !== undefined && { origin: decodeOrigin(origin) }),
      }
    case 'handler':
      return { kind, handler: body }
    case 'proxy':
      return { kind, proxy: body }
    case 'response':
      return { kind, message: body }
    case 'cancelled':
      return { kind, reason: body }
  }
}

const BARE = 'true'

/** Whether a record is what a request was answered with, its JSON being the response. */
export const isAnswer = ({ kind, json }: { kind: RecordKind; json: string }) =>
  kind === 'response' || (kind === 'task' && json !== BARE)

/** What the client gets to see. */
export const isShown = (kind: RecordKind) => kind === 'message' || kind === 'response'

/** What a reader has to do something for. */
export const isHeard = (kind: RecordKind) =>
  isShown(kind) || kind === 'question' || kind === 'withdrawn' || kind === 'task'

/** The last record of a journal; nothing is appended after it. */
export const isTerminal = (kind: RecordKind) => kind === 'response' || kind === 'cancelled'

function jsonOf(record: CallRecord): string {
  switch (record.kind) {
    case 'request':
      return encodeJson(record.request)
    case 'claim':
      return encodeJson(record.claim)
    case 'returned':
      return encodeJson(record.returned)
    case 'parked':
      return encodeJson(record.parked)
    case 'diverged':
      return encodeJson(record.diverged)
    case 'passed':
      return encodeJson(record.passed)
    case 'task':
      return record.answer ? encodeMessage(record.answer) : BARE
    case 'step':
      return encodeJson(record.step)
    case 'handler':
      return encodeJson(record.handler)
    case 'proxy':
      return encodeJson(record.proxy)
    case 'message':
    case 'question':
    case 'withdrawn':
    case 'response':
      return encodeMessage(record.message)
    case 'cancelled':
      return encodeJson(record.reason)
  }
}
