import { StoreError } from '../errors.js'
import { randomId } from '../ids.js'
import { isSessionless } from '../protocol.js'
import { whileStoreFails, within } from '../store/retry.js'
import type { Ending } from '../store/retry.js'
import { BEGINNING, splitId } from '../store/store.js'
import type { Admission, EntryId, NewCall, OpenedCall, Store } from '../store/store.js'
import { ASLEEP } from '../store/takeover.js'
import type { Standing } from './call-start.js'
import type { Claimed } from './claims.js'
import type { DueCalls } from './due-calls.js'
import type { Membership } from './membership.js'
import type { CallRequest } from './new-call.js'
import type { OverQuota, Quotas } from './quotas.js'
import { encodeRecord } from './record.js'
import type { CallQuota } from './record.js'

/** `unknown`: there is no such session. `quota`: it is over that, and not over what a session or a principal may have. */
export type NotOpened =
  | { status: 'attached'; callId: string; admission: Admission }
  | { status: 'unknown' }
  | { status: 'limit'; quota?: OverQuota }

/** The client of a task waits until it is entered when that is to be ended. */
const DUE_WITHIN_MS = 10_000

/** A task that waits for its turn; no node owns it. */
export type QueuedCall = { status: 'queued'; callId: string; first: EntryId; admission: Admission }
type CallPlace = { scope: string; callId: string }
/** `isAlone`: nothing else is run in its scope. `endsAt`: of a task, in ms since 1970. */
type Waits = { queued: 'start' | 'go-on'; standing: Standing; isAlone: boolean; endsAt: number | undefined }

/** `run`: what runs a call that is this node's and that nothing has run here. `closed`: this node opens none any more. */
type UnrunCallsOf = {
  membership: Membership
  quotas: Quotas
  dueCalls: Pick<DueCalls, 'enter' | 'remove'>
  closed: Ending
  resumeWindowMs: number
  newCall: (request: CallRequest, quotas: readonly CallQuota[], how?: { isQueued: boolean }) => NewCall
  run: (unrun: Claimed) => void
}

/** Calls of this node that nothing runs yet: those that wait for their turn, and those of which it is not known whether they were opened. */
export class UnrunCalls {
  readonly #store: Store
  readonly #of: UnrunCallsOf

  constructor(store: Store, of: UnrunCallsOf) {
    this.#store = store
    this.#of = of
  }

  /** It is in the queue already. Until it is nobody's it is as if this node had died before it ran it: others begin it. */
  async queue(
    request: CallRequest & { id: string },
    quotas: readonly CallQuota[],
  ): Promise<NotOpened | QueuedCall> {
    const { task, id: callId, scope } = request
    const handlers = request.requests.map(() => 'none' as const)
    const queued = { ...request, handlers, ...(task && { task: { ...task, afterMs: 0 } }) }
    const newCall = this.#of.newCall(queued, quotas, { isQueued: true })
    let opened: OpenedCall
    try {
      opened = await this.#store.openCall(newCall)
    } catch (error) {
      if (isUnknown(error)) void this.takeBack(newCall, quotas)
      else this.#of.quotas.notOpened(newCall, quotas)
      throw error
    }
    if (opened.status !== 'opened') {
      this.#of.quotas.notOpened(newCall, quotas)
      return opened
    }
    const { id: first, admission } = opened
    const standing = { last: first, inbox: BEGINNING }
    const endsAt = task && splitId(first)[0] + task.ttlMs
    const waits = { queued: 'start', standing, isAlone: isSessionless(request.protocol), endsAt } as const
    const place = { scope, callId }
    const isLeft = await this.letWait(place, waits).catch(() => true)
    if (!isLeft) void this.#runUnlessTaken({ ...place, first, claims: 0 })
    return { status: 'queued', callId, first, admission }
  }

  /** False: something has come for it, or it is another's. A task is due when it has waited for as long as it may run. */
  async letWait(place: CallPlace, { queued, standing, isAlone, endsAt }: Waits): Promise<boolean> {
    const { scope, callId } = place
    const { membership, dueCalls, closed } = this.#of
    const { node } = membership
    const entry = { ...place, nonce: randomId() }
    // What can't be entered is ended when its turn has come.
    const entering = endsAt !== undefined && dueCalls.enter(entry, Math.ceil(endsAt), within(DUE_WITHIN_MS))
    if (entering) await entering.catch(() => undefined)
    const data = encodeRecord({ kind: 'parked', parked: { node, nonce: entry.nonce, queued } })
    const claim = { from: node, to: ASLEEP, data, counts: -1, ...standing } as const
    const claimed = await whileStoreFails(() => this.#store.claimCall(scope, callId, claim), closed)
    if (!claimed) {
      if (entering) dueCalls.remove(entry)
      return false
    }
    if (isAlone) membership.releaseParked(scope)
    this.#of.quotas.queued(place).catch(() => undefined)
    return true
  }

  /** There is no place for one more call, but the same request may be open, or its key be kept. Nothing is opened. */
  async join(newCall: NewCall, { idempotencyKey }: CallRequest): Promise<NotOpened | undefined> {
    const { begins, ...call } = newCall
    if (begins && idempotencyKey === undefined) return undefined
    const found = await this.#store.openCall({ ...call, maxOpenCalls: 0 })
    if (found.status === 'attached') return found
    return found.status === 'unknown' && !begins ? found : undefined
  }

  /**
   * The client was told that nothing was done, but the journal may exist, or yet come to be. It is closed, and the
   * same request may come again; if it has come meanwhile and joined this call, the call is run for it.
   */
  async takeBack(newCall: NewCall, quotas: readonly CallQuota[]) {
    const { scope, callId } = newCall
    try {
      const { begins } = newCall
      // One that is there already must be found, however many there are.
      const again = begins ? { ...newCall, begins: { protocolVersion: begins.protocolVersion } } : newCall
      const opened = await whileStoreFails(() => this.#store.openCall(again), this.#of.closed)
      if (opened.status !== 'opened' || (await this.discard(newCall, opened.id)))
        return this.#of.quotas.notOpened(newCall, quotas)
      await this.#runUnlessTaken({ scope, callId, first: opened.id, claims: 0 })
    } catch {
      // This node is leaving. Whoever takes its calls over finds this one too.
    }
  }

  /** Something has come for a call that nothing runs. Never rejects: if this node leaves, the next one finds it. */
  async #runUnlessTaken(unrun: Claimed) {
    const held = whileStoreFails(() => this.#of.membership.hold(unrun.scope), this.#of.closed)
    await held.then(
      () => this.#of.run(unrun),
      () => undefined,
    )
  }

  /** Closes a call that nothing has run. False: another request waits for it. */
  async discard({ scope, callId, requestKeys, begins }: NewCall, first: EntryId): Promise<boolean> {
    const { resumeWindowMs } = this.#of
    const data = encodeRecord({ kind: 'cancelled', reason: 'The client was told that it was not run.' })
    const entry = { id: `${splitId(first)[0]}-2`, data }
    const close = {
      requestKeys,
      retainMs: resumeWindowMs,
      unlessJoined: true,
      endsScope: begins !== undefined,
    }
    const discarded = await whileStoreFails(
      () => this.#store.appendCall(scope, callId, [entry], close),
      this.#of.closed,
    )
    return discarded !== 'conflict'
  }
}

/** Whether the journal may exist, or yet come to be. */
export const isUnknown = (error: unknown) => error instanceof StoreError && error.code === 'store-timeout'
