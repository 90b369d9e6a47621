import { isAnswer, isShown, isTerminal, splitRecord } from '../call/record.js'
import { isRandomId } from '../ids.js'
import type { Entry, EntryId, LogName } from '../store/store.js'

/**
 * Ids of SSE events. They name the log and the entry, so that any node finds the place again:
 * `out.<entry>` on the standalone stream, `<call>.<entry>` on the stream of a call, and
 * `<call>.<entry>.end` for its last event. Without a session, `<scope>:` may stand before, where the scope is not
 * named as the call, and `~<alias>` behind, where it must be known who is told. (Specification 2025-11-25, "Resumability and Redelivery".)
 */
export type Cursor = { log: LogName; after: EntryId; end: boolean; scope?: string; alias?: string }

const ALIAS = /^[\w-]{1,1024}$/
const ENTRY = /^\d{1,16}-\d{1,16}$/

export function parseEventId(text: string): Cursor | undefined {
  const [place = '', alias, ...none] = text.split('~')
  const [named = '', entry = '', end, ...rest] = place.split('.')
  const [name = '', scope] = named.split(':', 2).toReversed()
  if (none.length > 0 || (alias !== undefined && !ALIAS.test(alias))) return undefined
  if (!ENTRY.test(entry) || rest.length > 0) return undefined
  if (scope !== undefined && !isRandomId(scope)) return undefined
  const under = { ...(alias !== undefined && { alias }), ...(scope !== undefined && { scope }) }
  if (name === 'out')
    return end === undefined ? { log: 'out', after: entry, end: false, ...under } : undefined
  if (!isRandomId(name) || (end !== undefined && end !== 'end')) return undefined
  return { log: `call:${name}`, after: entry, end: end === 'end', ...under }
}

export function eventId(log: LogName, entry: EntryId, end = false) {
  return `${log === 'out' ? 'out' : log.slice('call:'.length)}.${entry}${end ? '.end' : ''}`
}

/** An event without data: gives the client a cursor to come back to. */
export const primingEvent = (id: string, retryMs: number) => `id: ${id}\nretry: ${retryMs}\ndata: \n\n`

export const KEEP_ALIVE = ': keep-alive\n\n'

/** An entry as an SSE event, `undefined` if it is not for the client; `last`: nothing follows it. */
export function encodeEvent(log: LogName, { id, data }: Entry): { event: string | undefined; last: boolean } {
  if (log === 'out') return { event: event(eventId(log, id), data), last: false }
  const record = splitRecord(data)
  const { kind, json } = record
  const last = isTerminal(kind) || isAnswer(record)
  return { event: isShown(kind) || isAnswer(record) ? event(eventId(log, id, last), json) : undefined, last }
}

export const event = (id: string, json: string) => `event: message\nid: ${id}\ndata: ${json}\n\n`
