import { NodeLeavingError, StoreError } from '../errors.js'
import { linkedWithin } from '../linked-signal.js'
import { Members } from '../members.js'
import { isSessionless } from '../protocol.js'
import { readAll, readPages, whileStoreFails } from '../store/retry.js'
import { BEGINNING, compareIds } from '../store/store.js'
import type { Admission, Entry, EntryId, NewCall, OpenedCall } from '../store/store.js'
import { Call } from './call.js'
import { isRun, isTurn } from './call-quotas.js'
import type { CallEvents, CallServices, CallStart } from './call-start.js'
import type { ClaimedParked } from './awaited-calls.js'
import type { Claimed } from './claims.js'
import { EarlierRuns } from './earlier-runs.js'
import type { Membership } from './membership.js'
import { decodeInboxItem } from './inbox.js'
import { keysOf, newCallFor } from './new-call.js'
import type { CallLimits, CallRequest } from './new-call.js'
import { LostCalls } from './lost-calls.js'
import { Parking } from './parking.js'
import type { Quotas } from './quotas.js'
import type { CallQuota, Diverged, RecordedRequest } from './record.js'
import type { Takeovers } from './takeovers.js'
import { isUnknown, UnrunCalls } from './unrun-calls.js'
import type { NotOpened, QueuedCall } from './unrun-calls.js'

/** A call of this node, and its first record. */
export class Opened {
  readonly status = 'opened'

  constructor(
    readonly call: Call,
    readonly first: EntryId,
    readonly admission: Admission,
  ) {}
}
export type CallOutcome = Opened | NotOpened
type CallPlace = { scope: string; callId: string }

/** `recorded`: where its request and its response stand. */
export type TakenOver = {
  call: Call
  request: RecordedRequest
  runs: EarlierRuns
  claimed: Claimed
  /** It is parked here, or did not fit code such as that of this node and nobody has asked for another try. */
  isDiverged: boolean
  /** An operator has asked for another try. */
  isRetried: boolean
}

const SEALED = 'What it needs is sealed with a key that this node has not; another one goes on with it.'
const DIVERGED = 'The code here does not fit its journal; it is parked.'
/** How long a call has only slept that a node does not wait for when it leaves. */
const SLEPT_MS = 2000
/** So long it is tried to hold the scope of a call that was opened, before its request is refused. */
const HELD_WITHIN_MS = 10_000
const UNHELD = 'The store has opened the call, and does not let this node hold it.'

type CallsOf = {
  membership: Membership
  takeovers: CallTakeovers
  quotas: Quotas
}
type CallTakeovers = Pick<Takeovers, 'rescue' | 'dueCalls' | 'leave' | 'leaveFor' | 'giveBack' | 'diverged'>

/** The calls this node owns. */
export class Calls {
  readonly #services: CallServices
  readonly #membership: Membership
  readonly #takeovers: CallTakeovers
  readonly #quotas: Quotas
  readonly #limits: CallLimits
  readonly #unrun: UnrunCalls
  readonly #owned = new Members<Call>()
  readonly #parking: Parking
  #parkingSoon: NodeJS.Timeout | undefined
  readonly #closed = new AbortController()
  readonly #onAllEnded = new Set<() => void>()
  readonly lost: LostCalls

  /** `run`: what runs a call that is this node's and that nothing has run here. */
  constructor(
    services: CallServices,
    { membership, takeovers, quotas }: CallsOf,
    limits: CallLimits,
    run: (unrun: Claimed) => void,
  ) {
    this.#services = services
    this.#membership = membership
    this.#takeovers = takeovers
    this.#quotas = quotas
    this.#limits = limits
    this.lost = new LostCalls(services.store, membership.node, this.#owned, this.#closed)
    this.#unrun = new UnrunCalls(services.store, {
      membership,
      quotas,
      dueCalls: takeovers.dueCalls,
      closed: this.#closed,
      resumeWindowMs: services.resumeWindowMs,
      newCall: (...of) => this.#newCall(...of),
      run,
    })
    this.#parking = new Parking(services.store, membership, takeovers.dueCalls, quotas, {
      resumeWindowMs: services.resumeWindowMs,
      sessionTtlMs: limits.sessionTtlMs,
    })
  }

  get owned(): Members<Call> {
    return this.#owned
  }

  /** Writes the request into a new journal. Nothing may run before this has resolved. */
  async open(request: CallRequest): Promise<CallOutcome> {
    return (await this.#open(request, false)) as CallOutcome
  }

  /** Nobody waits for longer. */
  async #isHeld(scope: string) {
    const signal = linkedWithin(HELD_WITHIN_MS, this.#closed.signal)
    const holding = whileStoreFails(() => this.#membership.hold(scope), { signal })
    return holding.then(
      () => true,
      () => this.#isClosed,
    )
  }

  /** As `open`, but a task for which no place is left waits for its turn. */
  openOrQueue(request: CallRequest): Promise<CallOutcome | QueuedCall> {
    return this.#open(request, request.task !== undefined)
  }

  async #open(request: CallRequest, mayWait: boolean): Promise<CallOutcome | QueuedCall> {
    const quotas = this.#quotas.of(request.requests, request.principal)
    const newCall = this.#newCall(request, quotas)
    const { scope, callId: id } = newCall
    if (this.#isClosed || this.#membership.isDraining) throw new NodeLeavingError()
    if (!this.#membership.holds(scope)) {
      const { isSure } = this.#membership
      const holding = this.#membership.hold(scope)
      // Of a scope that is made with the call nobody knows before: it is held by what is sent first, and need not be waited for.
      // If that fails, it shows below. Not if others may have taken this node for dead: then much comes before.
      if (newCall.begins && isSure) holding.catch(() => undefined)
      else await holding
    }
    const over = quotas.length > 0 ? await this.#take(newCall, quotas, mayWait) : undefined
    if (over?.isQueued) return this.#unrun.queue({ ...request, id }, quotas)
    if (over) return (await this.#unrun.join(newCall, request)) ?? { status: 'limit', quota: over }
    let opened: OpenedCall
    try {
      opened = await this.#services.store.openCall(newCall)
    } catch (error) {
      if (isUnknown(error) && request.id === undefined) void this.#unrun.takeBack(newCall, quotas)
      else this.#quotas.notOpened(newCall, quotas)
      throw error
    }
    if (opened.status !== 'opened') {
      this.#quotas.notOpened(newCall, quotas)
      return opened
    }
    // If this node stood still meanwhile, what it held may have been taken from it: nobody would find the call.
    if (!this.#membership.holds(scope) && !(await this.#isHeld(scope))) {
      if (request.id === undefined) void this.#unrun.takeBack(newCall, quotas)
      throw new StoreError('store-timeout', UNHELD)
    }
    if (this.#isClosed) {
      if (await this.#unrun.discard(newCall, opened.id)) this.#quotas.notOpened(newCall, quotas)
      throw new NodeLeavingError()
    }
    const { requests, idempotencyKey, handlers, task } = request
    const { requestKeys } = newCall
    const keepKey = idempotencyKey !== undefined
    const endsScope = newCall.begins !== undefined
    const first = opened.id
    const call = this.#own({
      scope,
      id,
      requests,
      quotas,
      first,
      requestKeys,
      keepKey,
      endsScope,
      handlers,
      task,
    })
    return new Opened(call, first, opened.admission)
  }

  async #take(newCall: NewCall, quotas: readonly CallQuota[], mayWait: boolean) {
    try {
      return await this.#quotas.take(newCall, quotas, { mayWait })
    } catch (error) {
      // It may have places, or be in the queue.
      if (isUnknown(error)) this.#quotas.notOpened(newCall, quotas)
      throw error
    }
  }

  /**
   * Whether a claimed call may run here now. `queued`: a quota is full, and it is nobody's until its turn. `returned`: it is to be
   * given back, since something has come for it meanwhile. `ended`: it is a task, and has waited for as long as it may run. What was
   * interrupted has its places, and is never refused.
   */
  async admit(taken: TakenOver): Promise<'runs' | 'queued' | 'returned' | 'ended'> {
    const { scope, id: callId } = taken.call
    const answer = await this.#admit(taken)
    if (answer === 'runs' && taken.request.quotas)
      await this.#quotas.begins({ scope, callId }).catch(() => undefined)
    return answer
  }

  async #admit({ call, request, runs }: TakenOver): ReturnType<Calls['admit']> {
    const { parked } = runs
    const isBegun = parked ? parked.queued !== 'start' : !request.isQueued
    const mayHaveNone = runs.isOnlyClaimed || (request.isQueued && !parked && !runs.hasRun)
    const needed = mayHaveNone ? (request.quotas ?? []).filter(isBegun ? isRun : isTurn) : []
    if (needed.length === 0 || call.isOver) return 'runs'
    if (call.endIfExpired()) return 'ended'
    const place = { scope: call.scope, callId: call.id }
    const over = await call.whileStoreFails(() => this.#quotas.take(place, needed, { mayWait: true }))
    if (!over) return 'runs'
    const queued = isBegun ? 'go-on' : 'start'
    const waits = { queued, isAlone: isSessionless(request.protocol), endsAt: call.endsAt } as const
    return (await call.queue((standing) => this.#unrun.letWait(place, { ...waits, standing })))
      ? 'queued'
      : 'returned'
  }

  /** Opening the call failed, and it is not opened again. */
  takeBack(request: CallRequest & { id: string }) {
    const quotas = this.#quotas.of(request.requests, request.principal)
    void this.#unrun.takeBack(this.#newCall(request, quotas), quotas)
  }

  /** Somebody waits for an open call of the scope; see `Takeovers`. */
  rescue(scope: string, claims?: ClaimedParked) {
    this.#takeovers.rescue(scope, claims).catch(() => undefined)
  }

  /** Leaves something for a call that may be parked; see `Takeovers`. */
  leaveFor<T>(place: CallPlace, claims: ClaimedParked, leave: () => Promise<T>): Promise<T> {
    return this.#takeovers.leaveFor(place, claims, leave)
  }

  /** Leaves a call to the nodes that work, before anything has run it. False: it is to be run here. */
  leave(call: Call, first: EntryId): Promise<boolean> {
    const claimed = { scope: call.scope, callId: call.id, first, claims: 0 }
    return this.#takeovers.leave(claimed, () => call.abandon('A node that works runs it.'))
  }

  /** Parks the calls that have done nothing but wait for so long, or nothing but sleep. */
  parkIdle(idleMs: number, sleptMs = idleMs) {
    const now = performance.now()
    for (const call of this.#owned) void this.#parking.park(call, now - idleMs, now - sleptMs)
  }

  /**
   * From now on a call is parked as soon as it waits for its client, and soon after it has begun to sleep: what its handler does beside
   * its steps can't be seen, and is begun anew when it is woken.
   */
  parkSoon() {
    const park = () => this.parkIdle(0, SLEPT_MS)
    this.#parkingSoon ??= setInterval(park, SLEPT_MS / 4).unref()
    park()
  }

  /** Resolves when this node owns no call. */
  async allEnded() {
    while (this.#owned.size > 0) await new Promise<void>((resolve) => this.#onAllEnded.add(resolve))
  }

  #tellAllEnded() {
    for (const tell of this.#onAllEnded) tell()
    this.#onAllEnded.clear()
  }

  /** No call is opened any more. */
  close() {
    this.#closed.abort()
    clearInterval(this.#parkingSoon)
  }

  /**
   * The call behind a claim, with what its earlier runs left; `undefined` if they have ended it. Of one that was begun too
   * often, little is loaded: what its journal holds may be why its nodes died.
   */
  async takeOver(claimed: Claimed, signal: AbortSignal): Promise<TakenOver | undefined> {
    const { scope, callId, first, claims } = claimed
    // Taken for dead meanwhile, and not told: a run that goes on here has the ids of the next one, and would speak in its name.
    for (const call of this.#owned) if (call.id === callId) call.abandon('The call is run again.')
    const { store } = this.#services
    const log = `call:${callId}` as const
    const journal = () => readPages(store, scope, log, { signal })
    // No more is asked for: what follows may be what nobody can open.
    const request = () => whileStoreFails(() => store.read(scope, log, BEGINNING, 1), { signal })
    const isTooOften = claims >= this.#limits.maxAttempts
    let runs = await EarlierRuns.read(isTooOften ? [(await request()) ?? []] : journal(), claims, isTooOften)
    // Which of several requests have been answered, the whole says.
    if (isTooOften && runs.request.messages.length > 1) runs = await EarlierRuns.read(journal(), claims)
    // Another node has claimed it since, and whatever it has parked is its own.
    if (compareIds(runs.last, first) > 0) return undefined
    // A node that is leaving runs nothing; the next one finds the call.
    const { parked } = runs
    const isEntered = parked?.queued ? runs.taskTerms !== undefined : (parked?.wakeAt ?? 0) > Date.now()
    if (parked && isEntered) this.#takeovers.dueCalls.remove({ scope, callId, nonce: parked.nonce })
    if (runs.ended || this.#isClosed) return undefined
    // One that was parked was to go soon.
    await whileStoreFails(() => store.keepAlive(scope, [callId], this.#limits.sessionTtlMs), { signal })
    const inbox = isTooOften ? [] : await readAll(store, scope, `${log}:in`, { signal })
    const { messages: requests, idempotencyKey, protocol, quotas = [] } = runs.request
    const { divergences } = runs
    const isRetried = hasRetry(inbox, divergences)
    // What is left is claimed before it is run.
    const isDiverged = runs.isLeft || !(isRetried || this.#takeovers.diverged.mayTryHere(divergences))
    return {
      isDiverged,
      isRetried,
      call: this.#own({
        scope,
        id: callId,
        requests,
        quotas,
        first,
        requestKeys: keysOf(requests, runs.request),
        keepKey: idempotencyKey !== undefined,
        endsScope: isSessionless(protocol),
        past: { runs, inbox },
      }),
      request: runs.request,
      runs,
      claimed,
    }
  }

  #own(start: CallStart): Call {
    const { scope, id, quotas, endsScope } = start
    const place = { scope, callId: id }
    const onSealed = () => {
      // It is to end here, whatever its inbox holds.
      if (call.attempt > this.#limits.maxAttempts) return
      call.abandon(SEALED)
      this.#takeovers.giveBack(place).catch(() => undefined)
    }
    const onDiverged: CallEvents['onDiverged'] = (divergence, heard) => {
      call.abandon(DIVERGED)
      // What can't be noted now shows again when the call is taken over.
      this.#takeovers.diverged.diverged(place, divergence, heard).catch(() => undefined)
    }
    const onEnded = (isRecorded: boolean) => {
      leave()
      if (isRecorded) this.#quotas.release(place, quotas)
      // Nothing else is ever opened in a scope that has the name of its call.
      if (isRecorded && endsScope && scope === id) this.#membership.releaseSoon(scope)
      if (this.#owned.size === 0) this.#tellAllEnded()
    }
    const onAsked = () => {
      if (this.#parkingSoon) void this.#parking.park(call, Number.POSITIVE_INFINITY)
    }
    const call = new Call(this.#services, start, { onAsked, onSealed, onDiverged, onEnded })
    const leave = this.#owned.add(call)
    return call
  }

  get #isClosed() {
    return this.#closed.signal.aborted
  }

  #newCall(request: CallRequest, quotas: readonly CallQuota[], { isQueued = false } = {}): NewCall {
    const { resumeWindowMs, maxRecordBytes } = this.#services
    const { node, version } = this.#membership
    return newCallFor(request, {
      node,
      version,
      quotas,
      isQueued,
      limits: this.#limits,
      resumeWindowMs,
      maxRecordBytes,
    })
  }
}

/** Whether an operator has asked for another try since the last one. */
function hasRetry(inbox: readonly Entry[], divergences: readonly Diverged[]) {
  const heard = divergences.at(-1)?.heard ?? BEGINNING
  return inbox.some(({ id, data }) => compareIds(id, heard) > 0 && decodeInboxItem(data)?.kind === 'retried')
}
