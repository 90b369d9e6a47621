import { isObject } from '../../json-rpc.js'
import type { EntryId } from '../../store/store.js'

/** A value of a state, as it is stored. */
export type RecordedValue = { key: string; version: number; data: string }

/** A call as a store holds it, and what its code may read beside its journal. */
export type RecordedCall = {
  callId: string
  /** Its session, or the scope of its own. */
  scope: string
  principal?: string | undefined
  /** Its journal, from the first record on. */
  journal: readonly { id: EntryId; data: string }[]
  /** What the client has told in the session, as JSON, in order; `initialize` is the first. `[]`: not known, or there is no session. */
  messages: readonly string[]
  /** The states that the call may read, by their scopes. */
  states: Readonly<Record<string, readonly RecordedValue[]>>
}

/** Of `mcp-durable export CALL --show-payloads --full-ids`. Throws a `TypeError` that says what is wrong with the text. */
export function parseRecordedCall(text: string): RecordedCall {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const [head, ...rest] = lines.map(parsed)
  if (head?.['source'] !== 'call' || typeof head['callId'] !== 'string' || typeof head['scope'] !== 'string')
    throw new TypeError('it does not begin with a call: mcp-durable export CALL writes one.')
  const { callId, scope, principal } = head
  if (callId.endsWith('…')) throw new TypeError(MASKED)
  const states: Record<string, RecordedValue[]> = {}
  for (const each of [head['states']].flat()) if (typeof each === 'string') states[each] = []
  const texts = (source: string) => rest.filter((line) => line['source'] === source)
  for (const { scope: of, key, version, data } of texts('state'))
    (states[String(of)] ??= []).push({ key: String(key), version: Number(version), data: whole(data) })
  return {
    callId,
    scope,
    ...(typeof principal === 'string' && { principal }),
    journal: texts('record').map(({ id, data }) => ({ id: String(id), data: whole(data) })),
    messages: texts('message').map(({ data }) => whole(data)),
    states,
  }
}

function parsed(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line)
    if (isObject(value)) return value
  } catch {
    // Said below.
  }
  throw new TypeError('a line of it is no object of JSON.')
}

function whole(data: unknown): string {
  if (typeof data === 'string') return data
  throw new TypeError(MASKED)
}

const MASKED = 'its payloads or ids are masked: export it with --show-payloads --full-ids.'
