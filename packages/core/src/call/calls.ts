import { NodeLeavingError, StoreError } from '../errors.js'
import { randomId, requestKey } from '../ids.js'
import type { JsonRpcRequest } from '../json-rpc.js'
import { readAll, whileStoreFails } from '../store/retry.js'
import type { Admission, EntryId, NewCall, OpenedCall } from '../store/store.js'
import { Call } from './call.js'
import type { CallServices, CallStart } from './call.js'
import { History } from './history.js'
import type { Claimed, Ownership } from './ownership.js'
import { encodeRecord } from './record.js'
import type { RecordedRequest } from './record.js'

const UNDO_WITHIN_MS = 60_000

export type CallRequest = {
  scope: string
  id?: string
  principal: string | undefined
  requests: readonly JsonRpcRequest[]
  batch: boolean
  protocol: string
  idempotencyKey?: string | undefined
  /** What may be stored of the caller's authorization. */
  authInfo: Record<string, unknown> | undefined
  url?: string
}
export type CallOutcome =
  | { status: 'opened'; call: Call; first: EntryId; admission: Admission }
  | { status: 'attached'; callId: string; admission: Admission }
  | { status: 'unknown' }
  | { status: 'limit' }

export type TakenOver = { call: Call; request: RecordedRequest; history: History }

/** The calls this node owns. */
export class Calls {
  readonly #services: CallServices
  readonly #ownership: Ownership
  readonly #limits: { sessionTtl: number; maxOpenCalls: number }
  readonly #owned = new Set<Call>()
  #closed = false

  constructor(
    services: CallServices,
    ownership: Ownership,
    limits: { sessionTtl: number; maxOpenCalls: number },
  ) {
    this.#services = services
    this.#ownership = ownership
    this.#limits = limits
  }

  get owned(): ReadonlySet<Call> {
    return this.#owned
  }

  /** Writes the request into a new journal. Nothing may run before this has resolved. */
  async open(request: CallRequest): Promise<CallOutcome> {
    const { scope, principal, requests, batch, protocol, authInfo, idempotencyKey, url } = request
    const id = request.id ?? randomId()
    const { node } = this.#ownership
    if (this.#closed) throw new NodeLeavingError()
    await this.#ownership.hold(scope)
    const newCall: NewCall = {
      scope,
      callId: id,
      owner: node,
      principal,
      requestKeys: requests.map((one) => requestKey(one, idempotencyKey)),
      data: encodeRecord({
        kind: 'request',
        request: {
          messages: requests,
          batch,
          protocol,
          node,
          ...(idempotencyKey !== undefined && { idempotencyKey }),
          ...(authInfo && { authInfo }),
          ...(url !== undefined && { url }),
        },
      }),
      ttlMs: this.#limits.sessionTtl,
      maxOpenCalls: this.#limits.maxOpenCalls,
    }
    let opened: OpenedCall
    try {
      opened = await this.#services.store.openCall(newCall)
    } catch (error) {
      if (error instanceof StoreError && error.code === 'store-timeout')
        void this.#closeUnrun(newCall, request)
      throw error
    }
    if (opened.status !== 'opened') return opened
    const call = this.#own({ scope, id, requests, first: opened.id, idempotencyKey })
    if (this.#closed) {
      await call.failUnrun('the server was shutting down. Send it again.')
      throw new NodeLeavingError()
    }
    return { status: 'opened', call, first: opened.id, admission: opened.admission }
  }

  /** No call is opened any more. */
  close() {
    this.#closed = true
  }

  /** The call behind a claim, with what its earlier runs left; `undefined` if they have ended it. */
  async takeOver({ scope, callId, first }: Claimed, signal: AbortSignal): Promise<TakenOver | undefined> {
    const history = new History(await readAll(this.#services.store, scope, `call:${callId}`, signal))
    if (history.ended) return undefined
    const inbox = await readAll(this.#services.store, scope, `call:${callId}:in`, signal)
    const { messages: requests, idempotencyKey } = history.request
    return {
      call: this.#own({ scope, id: callId, requests, first, idempotencyKey, past: { history, inbox } }),
      request: history.request,
      history,
    }
  }

  #own(start: CallStart): Call {
    const call = new Call(this.#services, start)
    this.#owned.add(call)
    void call.ended.then(() => this.#owned.delete(call))
    return call
  }

  /** The journal may exist although opening it failed. Left open, it would catch the client's retry and never answer it. */
  async #closeUnrun(newCall: NewCall, { requests, idempotencyKey }: CallRequest) {
    const { scope, callId } = newCall
    try {
      const opened = await whileStoreFails(
        () => this.#services.store.openCall(newCall),
        AbortSignal.timeout(UNDO_WITHIN_MS),
      )
      if (opened.status !== 'opened') return
      const call = this.#own({ scope, id: callId, requests, first: opened.id, idempotencyKey })
      await call.failUnrun('its store was away. Send it again.')
    } catch {
      // The store stayed away; the journal, if there is one, expires with its session.
    }
  }
}
