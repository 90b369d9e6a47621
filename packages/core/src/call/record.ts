import type { StepRecord } from '../context/call-log.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'

/**
 * One entry of a journal, written as `<kind> <json>`: readable in the store, and the JSON of a
 * message goes to the client as it stands, without being parsed again.
 */
export type CallRecord =
  | { kind: 'request'; request: RecordedRequest }
  | { kind: 'claim'; claim: { node: string; nonce: string } }
  | { kind: 'step'; step: StepRecord }
  /** `step`: a digest of the step in whose body it was sent; written `message@<step> <json>`. */
  | { kind: 'message'; message: JsonRpcMessage; step?: string }
  | { kind: 'response'; message: JsonRpcResponse }
  | { kind: 'cancelled'; reason: string }

/** What another node needs to dispatch the call again. The access token is not part of it unless `keepToken` says so. */
export type RecordedRequest = {
  messages: readonly JsonRpcRequest[]
  batch: boolean
  protocol: string
  node: string
  /** Header of the request: a client that repeats it means the same call, also when that has ended. */
  idempotencyKey?: string
  authInfo?: Record<string, unknown>
}

export type RecordKind = CallRecord['kind']

export function encodeRecord(record: CallRecord): string {
  const step = record.kind === 'message' && record.step !== undefined ? `@${record.step}` : ''
  return `${record.kind}${step} ${JSON.stringify(bodyOf(record))}`
}

export function splitRecord(data: string): { kind: RecordKind; step: string | undefined; json: string } {
  const space = data.indexOf(' ')
  const at = data.indexOf('@')
  const hasStep = at >= 0 && at < space
  return {
    kind: data.slice(0, hasStep ? at : space) as RecordKind,
    step: hasStep ? data.slice(at + 1, space) : undefined,
    json: data.slice(space + 1),
  }
}

export function parseRecord(data: string): CallRecord {
  const { kind, step, json } = splitRecord(data)
  const body = JSON.parse(json) as never
  switch (kind) {
    case 'request':
      return { kind, request: body }
    case 'claim':
      return { kind, claim: body }
    case 'step':
      return { kind, step: body }
    case 'message':
      return { kind, message: body, ...(step !== undefined && { step }) }
    case 'response':
      return { kind, message: body }
    case 'cancelled':
      return { kind, reason: body }
  }
}

/** What the client gets to see. */
export const isShown = (kind: RecordKind) => kind === 'message' || kind === 'response'

/** The last record of a journal; nothing is appended after it. */
export const isTerminal = (kind: RecordKind) => kind === 'response' || kind === 'cancelled'

function bodyOf(record: CallRecord): unknown {
  switch (record.kind) {
    case 'request':
      return record.request
    case 'claim':
      return record.claim
    case 'step':
      return record.step
    case 'message':
    case 'response':
      return record.message
    case 'cancelled':
      return record.reason
  }
}
