import { setTimeout as sleep } from 'node:timers/promises'
import type { ProxySession } from '../call/record.js'
import { isResponse } from '../json-rpc.js'
import type { JsonRpcMessage } from '../json-rpc.js'
import type { MessageExtra } from '../session/transport.js'
import { drain, isOk, mayPass } from './answer.js'
import type { Answer } from './answer.js'
import type { ProxyCall } from './proxy-call.js'

/**
 * A notification or an answer of the client, in the server's terms. `session`: the one it belongs to, if not to any. `call`: the
 * request that it is about. `ends`: it cancels that.
 */
export type Outgoing = {
  message: JsonRpcMessage
  session?: ProxySession | undefined
  call?: ProxyCall | undefined
  ends?: true
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

/** What a client says that is no request, on its way to the server behind this one, in its order. */
export class OneWay {
  readonly #services: OneWayServices
  #taken: Promise<unknown> = Promise.resolve()

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
      await this.#sendOnce(outgoing, extra())
    } catch (error) {
      if (this.#services.shared) void this.#repeat(outgoing, extra, until)
      else this.#notTaken(outgoing, error as Error)
    }
  }

  async #repeat(outgoing: Outgoing, extra: () => MessageExtra, until: number) {
    const { closed } = this.#services
    while (!closed.aborted) {
      await sleep(RETRY_MS, undefined, { ref: false })
      try {
        return await this.#sendOnce(outgoing, extra())
      } catch (error) {
        if (performance.now() >= until) return this.#notTaken(outgoing, error as Error)
      }
    }
  }

  /** Throws if the server may take it later. */
  async #sendOnce(outgoing: Outgoing, extra: MessageExtra): Promise<void> {
    const { session, post, isLost, revive } = this.#services
    const current = outgoing.session ?? session()
    const answer = await post(outgoing.message, current, extra)
    await drain(answer)
    if (isOk(answer)) return
    const refused = new Error(`it answered ${answer.status}`)
    if (mayPass(answer)) throw refused
    if (!(await isLost(current, answer))) return this.#notTaken(outgoing, refused)
    // What belongs to a session that is gone is gone with it.
    if (outgoing.session) return
    const fresh = await revive(current, extra)
    await this.#sendOnce({ ...outgoing, session: fresh }, extra)
  }

  #notTaken({ message, call }: Outgoing, error: Error) {
    this.#services.warn(error, 'the server did not take a message')
    if (call && isResponse(message)) this.#services.fail(call, error.message)
  }
}
