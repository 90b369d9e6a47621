import { encodeInboxItem, decodeInboxItem, MAX_INBOX } from '../call/inbox.js'
import type { Became } from '../call/inbox.js'
import { encodeRecord } from '../call/record.js'
import type { BegunHandler, CallQuota, Descent, RecordedRequest } from '../call/record.js'
import { TransientNode } from '../call/transient-node.js'
import { DEFAULT_LIMITS } from '../context/limits.js'
import { randomId, requestKey } from '../ids.js'
import { shortId } from '../logger.js'
import { isSessionless } from '../protocol.js'
import type { CallPlace } from '../session/place.js'
import { readAll, within } from '../store/retry.js'
import { BEGINNING, splitId } from '../store/store.js'
import type { Entry, EntryId, Store } from '../store/store.js'
import { NOBODY } from '../store/takeover.js'
import { RunRefusedError } from './errors.js'
import { OpenPlaces, quotasOf } from './quotas.js'
import type { RecordedRun } from './recorded-run.js'

const WITHIN_MS = 5000
/** How many records go out in one operation, of how many bytes. */
const AT_ONCE = 256
const BYTES_AT_ONCE = 1 << 20

/** What is to be made of a run that has ended. `records`: what the new journal begins with, behind its request. */
export type Making = {
  how: Pick<Descent, 'action' | 'by' | 'from'>
  handler: BegunHandler
  records: readonly Entry[]
  /** A run may be made into one other like this. */
  once: boolean
}

/**
 * Makes another call of one that has ended, and hands it to the nodes. The ended one says so first, so that two who do it at once make
 * one. Until the new journal is whole nobody owns the call, and no node looks at it; if this process dies before it is handed over,
 * it can be resumed, or goes by its expiry.
 */
export async function make(store: Store, run: RecordedRun, making: Making): Promise<CallPlace> {
  const { place } = run
  const { protocol, task } = run.runs.request
  const session = await store.readSession(place.scope)
  if (!session) throw new RunRefusedError('run-gone', 'the session of this call is over.')
  const callId = randomId()
  const alone = isSessionless(protocol)
  const made = { scope: alone ? callId : place.scope, callId }
  if (making.once) await requireFirst(store, run, made)
  const quotas = await quotasOf(store, run, session)
  const places = await OpenPlaces.take(store, made, quotas)
  try {
    await note(store, run, made, making)
    // The store recognises a note for a minute; who stood still for longer is told by what is there.
    if (making.once) await requireFirst(store, run, made)
  } catch (error) {
    await places.giveBack()
    throw error
  }
  const request = requestOf(run, callId, making, quotas)
  const data = encodeRecord({ kind: 'request', request })
  const opened = await store.openCall({
    ...made,
    owner: NOBODY,
    principal: session.principal,
    server: session.server,
    requestKeys: requestKeysOf(run, callId),
    data,
    ttlMs: DEFAULT_LIMITS.sessionTtlMs + (task?.ttlMs ?? 0),
    maxOpenCalls: Number.MAX_SAFE_INTEGER,
    ...(alone && { begins: { protocolVersion: protocol } }),
  })
  if (opened.status !== 'opened') {
    await places.giveBack()
    throw new RunRefusedError('run-gone', 'the session of this call is over.')
  }
  try {
    if (making.once) await requireAlone(store, run, place, made)
  } catch (error) {
    if (error instanceof RunRefusedError) {
      await takeBack(store, run, made)
      await places.giveBack()
    }
    throw error
  }
  await copy(store, made, opened.id, making.records)
  const { action, by } = making.how
  await new TransientNode(store).pass(made, NOBODY, { action, by }, { isNew: true })
  return made
}

/** A request of its own: no client means it by its id, and none can repeat it. */
function messagesOf({ runs }: RecordedRun, callId: string) {
  return runs.request.messages.map((message) => ({ ...message, id: callId }))
}

const requestKeysOf = (run: RecordedRun, callId: string) =>
  messagesOf(run, callId).map((message) => requestKey(message))

function requestOf(
  run: RecordedRun,
  callId: string,
  { how, handler, records }: Making,
  quotas: readonly CallQuota[],
): RecordedRequest {
  const { messages: _, idempotencyKey: _key, trace: _trace, version: _version, ...more } = run.runs.request
  const { quotas: _quotas, isQueued: _isQueued, ...kept } = more
  const { version } = run.runs
  const messages = messagesOf(run, callId)
  const copied = records.length > 0 ? { copied: records.length } : undefined
  // One that begins anew may do so with any code.
  const of = copied && version !== undefined ? { version } : undefined
  return {
    ...kept,
    ...of,
    // The node that is to run it takes the places that it may wait for.
    ...(quotas.length > 0 && { quotas: quotas.map(({ name, most }) => ({ name, most })), isQueued: true }),
    messages,
    node: NOBODY,
    handlers: [handler],
    of: { ...run.place, ...how, ...copied },
  }
}

/** What operators have noted with a call that it is to be done again by, in their order. */
async function retriesOf(store: Store, { scope, callId }: CallPlace): Promise<Became[]> {
  const inbox = await readAll(store, scope, `call:${callId}:in`, within(WITHIN_MS))
  return inbox.flatMap(({ data }) => {
    const item = decodeInboxItem(data)
    return item?.kind === 'became' && item.action === 'retry' ? [item] : []
  })
}

/** None of those that were noted, but `made`, is there. Their journals have not gone before that of the old call. */
async function requireFirst(store: Store, run: RecordedRun, made: CallPlace) {
  for (const retry of await retriesOf(store, run.place))
    if (retry.callId !== made.callId && (await firstOf(store, retry))) throw retried(retry)
}

/**
 * The call is opened. Whoever has noted another one since has either found it, or is found here. What others have opened before and not
 * handed over is taken back, so that it never is. `of`: what it does again.
 */
async function requireAlone(store: Store, run: RecordedRun, of: CallPlace, made: CallPlace) {
  const retries = await retriesOf(store, of)
  const last = retries.at(-1)
  if (last && last.callId !== made.callId) throw busy(last)
  for (const retry of retries)
    if (retry.callId !== made.callId && !(await takeBack(store, run, retry))) throw retried(retry)
}

/**
 * A call that was opened, and not handed over, is to be: unless another one was noted since and opened too. If that was not opened, it is not
 * to be any more: it finds that this one is noted once more.
 */
export async function requireOnly(store: Store, run: RecordedRun, of: CallPlace, by: string) {
  const { place } = run
  const last = (await retriesOf(store, of)).at(-1)
  if (last && last.callId !== place.callId) {
    if (await firstOf(store, last)) throw busy(last)
    await append(store, of, { kind: 'became', ...place, action: 'retry', by }, randomId())
  }
  await requireAlone(store, run, of, place)
}

async function firstOf(store: Store, { scope, callId }: CallPlace): Promise<Entry | undefined> {
  const [first] = (await store.read(scope, `call:${callId}`, BEGINNING, 1)) ?? []
  return first
}

/**
 * Nobody owns the call that was opened, and none is to: it goes at once, so that it is in nobody's way. False: it was handed over.
 * No-op if it is not there.
 */
async function takeBack(store: Store, run: RecordedRun, { scope, callId }: CallPlace): Promise<boolean> {
  const first = await firstOf(store, { scope, callId })
  if (!first) return true
  const [epoch, seq] = splitId(first.id)
  const data = encodeRecord({ kind: 'cancelled', reason: 'Another operator has had it done again.' })
  const appended = await store.appendCall(scope, callId, [{ id: `${epoch}-${seq + 1}`, data }], {
    requestKeys: requestKeysOf(run, callId),
    retainMs: 1,
    endsScope: scope === callId,
  })
  return appended !== 'fenced'
}

const retried = ({ by, scope, callId }: Became) =>
  new RunRefusedError(
    'run-retried',
    `${by} has it done again by the call ${shortId(callId)}: act on that one.`,
    { scope, callId },
  )

const busy = ({ by, scope, callId }: Became) =>
  new RunRefusedError(
    'run-busy',
    `${by} makes the call ${shortId(callId)} of it just now. Look at that one; try again in a minute if it does not come.`,
    { scope, callId },
  )

/** Leaves with the old call what becomes of it. Of several who do at once, the first one's counts where one is to be made. */
async function note(store: Store, { place }: RecordedRun, made: CallPlace, { how, once }: Making) {
  const { scope, callId } = place
  const { action, by } = how
  const nonce = once ? `${action}-${callId}` : randomId()
  const id = await append(store, place, { kind: 'became', ...made, action, by }, nonce)
  const inbox = await readAll(store, scope, `call:${callId}:in`, within(WITHIN_MS))
  const noted = decodeInboxItem(inbox.find((entry) => entry.id === id)?.data ?? '')
  if (noted?.kind === 'became' && noted.callId !== made.callId) throw busy(noted)
}

async function append(store: Store, { scope, callId }: CallPlace, item: Became, nonce: string) {
  const limits = { nonce, maxLength: MAX_INBOX }
  const id = await store.append(scope, `call:${callId}:in`, encodeInboxItem(item), limits)
  if (id === undefined || id === false)
    throw new RunRefusedError('run-gone', 'the call was deleted just now.')
  return id
}

/** Before anybody owns the call, so all of it is there when it is run. */
async function copy(store: Store, made: CallPlace, first: EntryId, records: readonly Entry[]) {
  const [epoch, seq] = splitId(first)
  const entries = records.map(({ data }, index) => ({ id: `${epoch}-${seq + 1 + index}`, data }))
  for (const batch of batches(entries)) {
    const appended = await store.appendCall(made.scope, made.callId, batch)
    if (appended !== 'appended') throw new RunRefusedError('run-gone', 'the call was deleted just now.')
  }
}

function batches(entries: readonly Entry[]): Entry[][] {
  const all: Entry[][] = []
  let size = 0
  for (const entry of entries) {
    const batch = all.at(-1)
    if (!batch || batch.length >= AT_ONCE || size >= BYTES_AT_ONCE) {
      all.push([entry])
      size = 0
    } else batch.push(entry)
    size += entry.data.length
  }
  return all
}
