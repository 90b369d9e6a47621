import { setTimeout as sleep } from 'node:timers/promises'
import type { ProxySession } from '../call/record.js'
import { isResponse } from '../json-rpc.js'
import type { JsonRpcMessage } from '../json-rpc.js'
import type { MessageExtra } from '../session/transport.js'
import { drain, isOk, mayPass } from './answer.js'
import type { Answer } from './answer.js'
import { deniesSession, UnsentError } from './channel.js'
import type { ProxyCall } from './proxy-call.js'

/**
 * A notification or an answer of the client, in the server's terms. `session`: the one it belongs to, if not to any. `call`: the
 * request that it is about. `ends`: it cancels that. `onOver`: told when it was taken, or refused; or not
 * `heard`, within the time that it may take.
 */
export type Outgoing = {
  message: JsonRpcMessage
  session?: ProxySession | undefined
  call?: ProxyCall | undefined
  ends?: true
  onOver?: (heard: boolean) => void
}

export type OneWayServices = {
  /** Of a server that is shared by all nodes; any other one is not waited for. */
  graceMs: number
  shared: boolean
  closed: AbortSignal
  session: () => ProxySession
  post: (message: JsonRpcMessage, session: ProxySession, extra: MessageExtra) => Promise<Answer>
  isLost: (session: ProxySession, answer: Answer) => Promise<boolean>
  revive: (stale: ProxySession, extra: MessageExtra) => Promise<ProxySession>
  /** Whoever asked in the call would wait for an answer that does not come. */
  fail: (call: ProxyCall, reason: string) => void
  warn: (error: unknown, message: string) => void
}

const RETRY_MS = 500
/** Refusals of whoever sends, or of what is sent; any other one may say that nobody waits for it any more. */
const FINAL = new Set([401, 403, 413, 422])

/** What a client says that is no request, on its way to the server behind this one, in its order. */
export class OneWay {
  readonly #services: OneWayServices
  #taken: Promise<unknown> = Promise.resolve()
  /** The server has refused a message in a new session as one refuses that does not know the session: that says nothing of sessions. */
  #deniesAnyway = false

  constructor(services: OneWayServices) {
    this.#services = services
  }

  /** The messages so far were taken, or can't be now; whatever comes later may build on them. */
  get taken() {
    return this.#taken
  }

  /** `extra`: of the client, each time that it is sent. Resolves as `taken`. */
  send(outgoing: Outgoing, extra: () => MessageExtra): Promise<unknown> {
    this.#taken = this.#taken.then(() => this.#send(outgoing, extra))
    return this.#taken
  }

  /** What the server does not take at once is repeated while a call would wait. */
  async #send(outgoing: Outgoing, extra: () => MessageExtra) {
    const until = performance.now() + this.#services.graceMs
    try {
      this.#sent(outgoing, await this.#sendOnce(outgoing, extra()), true)
    } catch (error) {
      if (this.#services.shared) void this.#repeat(outgoing, extra, until, error instanceof UnsentError)
      else this.#notHeard(outgoing, error)
    }
  }

  /** `isFirst`: it has certainly not reached the server so far. */
  async #repeat(outgoing: Outgoing, extra: () => MessageExtra, until: number, isFirst: boolean) {
    const { closed } = this.#services
    while (!closed.aborted) {
      await sleep(RETRY_MS, undefined, { ref: false })
      try {
        return this.#sent(outgoing, await this.#sendOnce(outgoing, extra()), isFirst)
      } catch (error) {
        isFirst &&= error instanceof UnsentError
        if (performance.now() >= until) return this.#notHeard(outgoing, error)
      }
    }
  }

  /** Resolves to the refusal, if there is one. Throws if the server may take it later. */
  async #sendOnce({ message, session }: Outgoing, extra: MessageExtra): Promise<Answer | undefined> {
    const { isLost, revive } = this.#services
    const current = session ?? this.#services.session()
    const refusal = await this.#post(message, current, extra)
    if (!refusal || this.#deniesAnyway || !(await isLost(current, refusal))) return refusal
    // What belongs to a session that is gone is gone with it.
    if (session) return undefined
    const again = await this.#post(message, await revive(current, extra), extra)
    this.#deniesAnyway = deniesSession(again)
    return again
  }

  async #post(message: JsonRpcMessage, session: ProxySession, extra: MessageExtra) {
    const answer = await this.#services.post(message, session, extra)
    await drain(answer)
    if (isOk(answer)) return undefined
    if (mayPass(answer)) throw statusOf(answer)
    return answer
  }

  /** An answer that comes too late, or again, is refused as well: its call goes on. */
  #sent(outgoing: Outgoing, refusal: Answer | undefined, isFirst: boolean) {
    outgoing.onOver?.(true)
    if (!refusal) return
    const { message, call } = outgoing
    const error = statusOf(refusal)
    this.#notTaken(error)
    if (call && isResponse(message) && isFirst && FINAL.has(refusal.status))
      this.#services.fail(call, error.message)
  }

  #notHeard({ onOver }: Outgoing, error: unknown) {
    onOver?.(false)
    this.#notTaken(error)
  }

  #notTaken(error: unknown) {
    this.#services.warn(error, 'the server did not take a message')
  }
}

const statusOf = ({ status }: Answer) => new Error(`it answered ${status}`)
