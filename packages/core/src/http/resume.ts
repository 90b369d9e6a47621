import { isAnswer, isTerminal, splitRecord } from '../call/record.js'
import { canPrime } from '../protocol.js'
import { bytesOf } from '../store/entries.js'
import { BEGINNING, OLDEST } from '../store/store.js'
import type { Admission, Entry, LogName, Store } from '../store/store.js'
import { eventId, primingEvent } from './events.js'
import type { Cursor } from './events.js'
import { refuse } from './replies.js'

const PAGE = 64
const PAGE_BYTES = 1 << 20

/** Throws if events after the cursor are not kept any more; answers whether there is nothing to wait for. */
export async function isOver(store: Store, sessionId: string, { log, after, end }: Cursor): Promise<boolean> {
  // Only the standalone stream hands out its beginning; a call's stream begins with its request.
  const known = log === 'out' || after !== BEGINNING
  const entries = known ? await store.read(sessionId, log, after, PAGE, PAGE_BYTES) : undefined
  if (!entries) throw refuse.eventsGone()
  if (log === 'out') return false
  if (end) return true
  const isEnded = await endsUnseen(store, sessionId, log, entries)
  if (isEnded !== undefined) return isEnded
  if (entries.length > 0) return false
  const open = await store.listOpenCalls(sessionId)
  if (open.some(({ callId }) => log === `call:${callId}`)) return false
  // It has ended; perhaps just now.
  const last = (await store.read(sessionId, log, after, PAGE, PAGE_BYTES)) ?? []
  return last.length === 0 || (await endsUnseen(store, sessionId, log, last)) === true
}

/** Whether the log ends, from these entries on, with nothing for the client before that; `undefined`: it goes on. */
async function endsUnseen(store: Store, sessionId: string, log: LogName, entries: Entry[]) {
  for (let page = entries; ;) {
    const records = page.map(({ data }) => splitRecord(data))
    if (records.some((record) => record.kind === 'message' || isAnswer(record))) return false
    if (records.some(({ kind }) => isTerminal(kind))) return true
    const last = page.at(-1)
    if (!last || (page.length < PAGE && bytesOf(page) < PAGE_BYTES)) return undefined
    page = (await store.read(sessionId, log, last.id, PAGE, PAGE_BYTES)) ?? []
  }
}

/** Every stream that can begins with an id: a client whose connection breaks before one has lost its place for good. */
export function preambleFor(
  { log, after, end }: Cursor,
  { protocolVersion }: Pick<Admission, 'protocolVersion'>,
  retryMs: number,
) {
  return canPrime(protocolVersion) && after !== OLDEST ? primingEvent(eventId(log, after, end), retryMs) : ''
}
