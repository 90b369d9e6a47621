import { NodeLeavingError, requireFits, StoreError } from '../errors.js'
import { randomId, requestKey } from '../ids.js'
import type { JsonRpcRequest } from '../json-rpc.js'
import { Members } from '../members.js'
import { isSessionless } from '../protocol.js'
import type { Settings } from '../settings.js'
import type { Trace } from '../signals/telemetry.js'
import { readAll, readPages, whileStoreFails } from '../store/retry.js'
import { splitId } from '../store/store.js'
import type { Admission, Entry, EntryId, NewCall, OpenedCall } from '../store/store.js'
import { Call } from './call.js'
import type { CallServices, CallStart } from './call.js'
import type { Claimed } from './claims.js'
import { EarlierRuns } from './earlier-runs.js'
import type { Membership } from './membership.js'
import { encodeRecord } from './record.js'
import type { BegunHandler, RecordedRequest } from './record.js'
import type { Takeovers } from './takeovers.js'

export type CallRequest = {
  scope: string
  /** Of whoever opens it again if that fails, and takes it back if not. */
  id?: string
  principal: string | undefined
  /** Whose the session must be; see `Store`. */
  server?: string | undefined
  requests: readonly JsonRpcRequest[]
  batch: boolean
  protocol: string
  idempotencyKey?: string | undefined
  /** What may be stored of the caller's authorization. */
  authInfo: Record<string, unknown> | undefined
  url?: string
  trace?: Trace | undefined
  /** What will run each of the requests, as far as that is known. */
  handlers?: readonly BegunHandler[] | undefined
}
/** A call of this node, and its first record. */
export type Opened = { call: Call; first: EntryId; admission: Admission }
export type CallOutcome =
  | ({ status: 'opened' } & Opened)
  | { status: 'attached'; callId: string; admission: Admission }
  | { status: 'unknown' }
  | { status: 'limit' }

/** `recorded`: where its request and its response stand. */
export type TakenOver = { call: Call; request: RecordedRequest; runs: EarlierRuns; claimed: Claimed }

export type CallLimits = Pick<Settings, 'sessionTtlMs' | 'maxOpenCalls' | 'maxOpenBytes' | 'maxAttempts'>

/** The calls this node owns. */
export class Calls {
  readonly #services: CallServices
  readonly #membership: Membership
  readonly #takeovers: Pick<Takeovers, 'rescue'>
  readonly #limits: CallLimits
  readonly #run: (unrun: Claimed) => void
  readonly #owned = new Members<Call>()
  readonly #closed = new AbortController()
  #onEnded: () => void = () => undefined

  /** `run`: what runs a call that is this node's and that nothing has run here. */
  constructor(
    services: CallServices,
    { membership, takeovers }: { membership: Membership; takeovers: Pick<Takeovers, 'rescue'> },
    limits: CallLimits,
    run: (unrun: Claimed) => void,
  ) {
    this.#services = services
    this.#membership = membership
    this.#takeovers = takeovers
    this.#limits = limits
    this.#run = run
  }

  get owned(): Members<Call> {
    return this.#owned
  }

  /** Writes the request into a new journal. Nothing may run before this has resolved. */
  async open(request: CallRequest): Promise<CallOutcome> {
    const newCall = this.#newCall(request)
    const { scope, callId: id } = newCall
    if (this.#isClosed) throw new NodeLeavingError()
    if (!this.#membership.holds(scope)) {
      const holding = this.#membership.hold(scope)
      // Of a scope that is made with the call nobody knows before: it may be held at the same time. If it can't be, that shows below.
      if (newCall.begins) holding.catch(() => undefined)
      else await holding
    }
    let opened: OpenedCall
    try {
      opened = await this.#services.store.openCall(newCall)
    } catch (error) {
      if (isUnknown(error) && request.id === undefined) void this.#takeBack(newCall)
      throw error
    }
    if (opened.status !== 'opened') return opened
    // If this node stood still meanwhile, what it held may have been taken from it: nobody would find the call.
    if (!this.#membership.holds(scope))
      await whileStoreFails(() => this.#membership.hold(scope), this.#closed)
    if (this.#isClosed) {
      await this.#discard(newCall, opened.id)
      throw new NodeLeavingError()
    }
    const { requests, idempotencyKey, handlers } = request
    const { requestKeys } = newCall
    const keepKey = idempotencyKey !== undefined
    const endsScope = newCall.begins !== undefined
    const first = opened.id
    const call = this.#own({ scope, id, requests, first, requestKeys, keepKey, endsScope, handlers })
    return { status: 'opened', call, first: opened.id, admission: opened.admission }
  }

  /** Opening the call failed, and it is not opened again. */
  takeBack(request: CallRequest & { id: string }) {
    void this.#takeBack(this.#newCall(request))
  }

  /** Somebody waits for an open call of the scope. Most are run by another node; if there is none, this one does. */
  rescue(scope: string) {
    this.#takeovers.rescue(scope).catch(() => undefined)
  }

  /** Resolves when this node owns no call. */
  async allEnded() {
    while (this.#owned.size > 0) await new Promise<void>((resolve) => (this.#onEnded = resolve))
  }

  /**
   * Abandons the calls of this node that another one has taken over. The wake-up of its claim may have been lost, and a
   * handler that has nothing to append would run on.
   */
  async abandonTaken() {
    const scopes = new Map<string, Call[]>()
    for (const call of this.#owned) scopes.set(call.scope, [...(scopes.get(call.scope) ?? []), call])
    await Promise.allSettled([...scopes].map(([scope, calls]) => this.#abandonTaken(scope, calls)))
  }

  /** No call is opened any more. */
  close() {
    this.#closed.abort()
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
    const journal = () => readPages(store, scope, `call:${callId}`, { signal })
    const isTooOften = claims >= this.#limits.maxAttempts
    let runs = await EarlierRuns.read(isTooOften ? firstOf(journal()) : journal(), claims)
    // Which of several requests have been answered, the whole says.
    if (isTooOften && runs.request.messages.length > 1) runs = await EarlierRuns.read(journal(), claims)
    // A node that is leaving runs nothing; the next one finds the call.
    if (runs.ended || this.#isClosed) return undefined
    const inbox = isTooOften ? [] : await readAll(store, scope, `call:${callId}:in`, { signal })
    const { messages: requests, idempotencyKey, protocol } = runs.request
    return {
      call: this.#own({
        scope,
        id: callId,
        requests,
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

  async #abandonTaken(scope: string, calls: readonly Call[]) {
    const open = await whileStoreFails(() => this.#services.store.listOpenCalls(scope), this.#closed)
    const others = open.filter(({ owner }) => owner !== this.#membership.node)
    const taken = new Set(others.map(({ callId }) => callId))
    for (const call of calls) if (taken.has(call.id)) call.abandon('The call has moved to another node.')
  }

  #own(start: Omit<CallStart, 'onEnded'>): Call {
    const onEnded = () => {
      leave()
      if (this.#owned.size === 0) this.#onEnded()
    }
    const call = new Call(this.#services, { ...start, onEnded })
    const leave = this.#owned.add(call)
    return call
  }

  get #isClosed() {
    return this.#closed.signal.aborted
  }

  #newCall(request: CallRequest): NewCall {
    const { scope, id = callIdFor(request), principal, server, requests, batch, protocol } = request
    const { authInfo, idempotencyKey, url, trace, handlers } = request
    const { node } = this.#membership
    const data = encodeRecord({
      kind: 'request',
      request: {
        messages: requests,
        batch,
        protocol,
        node,
        ...(idempotencyKey !== undefined && { idempotencyKey }),
        ...(authInfo && { authInfo }),
        ...(url !== undefined && { url }),
        ...(trace && { trace }),
        ...(handlers?.some((kind) => kind !== 'plain') && { handlers }),
      },
    })
    requireFits(data, this.#services.maxRecordBytes)
    return {
      scope,
      callId: id,
      owner: node,
      principal,
      server,
      requestKeys: keysOf(requests, request),
      data,
      ttlMs: this.#limits.sessionTtlMs,
      maxOpenCalls: this.#limits.maxOpenCalls,
      maxOpenBytes: this.#limits.maxOpenBytes,
      ...(isSessionless(protocol) && { begins: { protocolVersion: protocol } }),
    }
  }

  /**
   * The client was told that nothing was done, but the journal may exist, or yet come to be. It is closed, and the
   * same request may come again; if it has come meanwhile and joined this call, the call is run for it.
   */
  async #takeBack(newCall: NewCall) {
    const { scope, callId } = newCall
    try {
      const opened = await whileStoreFails(() => this.#services.store.openCall(newCall), this.#closed)
      if (opened.status !== 'opened' || (await this.#discard(newCall, opened.id))) return
      await whileStoreFails(() => this.#membership.hold(scope), this.#closed)
      this.#run({ scope, callId, first: opened.id, claims: 0 })
    } catch {
      // This node is leaving. Whoever takes its calls over finds this one too.
    }
  }

  /** Closes a call that nothing has run. False: another request waits for it. */
  async #discard({ scope, callId, requestKeys, begins }: NewCall, first: EntryId): Promise<boolean> {
    const { store, resumeWindowMs } = this.#services
    const data = encodeRecord({ kind: 'cancelled', reason: 'The client was told that it was not run.' })
    const entry = { id: `${splitId(first)[0]}-2`, data }
    const close = {
      requestKeys,
      retainMs: resumeWindowMs,
      unlessJoined: true,
      endsScope: begins !== undefined,
    }
    const discarded = await whileStoreFails(
      () => store.appendCall(scope, callId, [entry], close),
      this.#closed,
    )
    return discarded !== 'conflict'
  }
}

/** A scope that is made with its call has the same name, so that who knows one finds the other. */
export const callIdFor = ({ scope, protocol, idempotencyKey }: CallRequest) =>
  isSessionless(protocol) && idempotencyKey === undefined ? scope : randomId()

/** In a scope that follows from a key, whatever comes with the key means the same call. */
function keysOf(
  requests: readonly JsonRpcRequest[],
  { idempotencyKey, protocol }: Pick<CallRequest, 'idempotencyKey' | 'protocol'>,
): string[] {
  if (isSessionless(protocol) && idempotencyKey !== undefined) return ['key']
  return requests.map((request) => requestKey(request, idempotencyKey))
}

/** The first entry of a log. */
async function* firstOf(pages: AsyncIterable<Entry[]>): AsyncGenerator<Entry[], void> {
  for await (const page of pages) return yield page.slice(0, 1)
}

/** Whether the journal may exist, or yet come to be. */
export const isUnknown = (error: unknown) => error instanceof StoreError && error.code === 'store-timeout'
