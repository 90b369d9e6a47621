import { isAnswer, isTerminal, splitRecord } from '../call/record.js'
import { canPrime } from '../protocol.js'
import { BEGINNING, OLDEST } from '../store/store.js'
import type { Admission, Entry, Store } from '../store/store.js'
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
  if (entries.length > 0) return nothingToShow(entries)
  const open = await store.listOpenCalls(sessionId)
  if (open.some(({ callId }) => log === `call:${callId}`)) return false
  // It has ended; perhaps just now.
  return nothingToShow((await store.read(sessionId, log, after, PAGE, PAGE_BYTES)) ?? [])
}

/** Nothing for the client follows, nor ever will. */
function nothingToShow(entries: readonly Entry[]) {
  const records = entries.map(({ data }) => splitRecord(data))
  const kinds = records.map(({ kind }) => kind)
  const shown = records.some((record) => record.kind === 'message' || isAnswer(record))
  return !shown && (kinds.length === 0 || kinds.some(isTerminal))
}

/** Every stream that can begins with an id: a client whose connection breaks before one has lost its place for good. */
export function preambleFor(
  { log, after, end }: Cursor,
  { protocolVersion }: Pick<Admission, 'protocolVersion'>,
  retryMs: number,
) {
  return canPrime(protocolVersion) && after !== OLDEST ? primingEvent(eventId(log, after, end), retryMs) : ''
}
