import { setTimeout as sleep } from 'node:timers/promises'
import { isNotification, isResponse } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest } from '../json-rpc.js'
import type { Heard } from '../session/server-factory.js'
import { ServerRefusedError } from '../session/session-errors.js'
import type { MessageExtra } from '../session/transport.js'
import { sleepFor } from '../timers.js'
import { BadAnswerError, drain, isEventStream, mayPass, noMessage, parseMessages } from './answer.js'
import { ALONE } from './channel.js'
import type { Channel } from './channel.js'
import { readEvents } from './events.js'
import { outside } from './outside.js'
import { refusalOf } from './refusal.js'

export type ListeningServices = {
  channel: Channel
  maxBytes: number
  complain: (error: Error) => void
}

const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged'
const RETRY_MS = 1000
const SOON_MS = 50
const MOST_RETRY_MS = 5_000
/** How long a client waits for the server to be heard. */
const HEARD_WITHIN_MS = 1000

/** What a server behind this one that needs no session tells one client of changes (2026-07-28, "Subscriptions"): asked for again when it breaks off. */
export class Listening {
  readonly #services: ListeningServices
  readonly #request: JsonRpcRequest
  readonly #extra: MessageExtra
  readonly #to: Heard
  readonly #stopped = new AbortController()
  /** What the server has agreed to tell of. */
  acknowledged: Record<string, unknown> | undefined
  #onHeard!: () => void
  #onRefused!: (error: Error) => void
  readonly #first: Promise<void>

  constructor(services: ListeningServices, request: JsonRpcRequest, extra: MessageExtra, to: Heard) {
    this.#services = services
    this.#request = request
    this.#extra = extra
    this.#to = to
    this.#first = new Promise((resolve, reject) => {
      this.#onHeard = resolve
      this.#onRefused = reject
    })
    this.#first.catch(() => undefined)
    void outside(() => this.#listen()).finally(this.#onHeard)
  }

  /** Resolves when the server is heard, or there is nothing to hear; or that takes too long. Rejects with a `ServerRefusedError`. */
  async heard() {
    await Promise.race([this.#first, sleep(HEARD_WITHIN_MS, undefined, { ref: false })])
  }

  end() {
    this.#stopped.abort()
  }

  async #listen() {
    const { signal } = this.#stopped
    const waiting = { retry: RETRY_MS }
    for (let failures = 0; !signal.aborted;) {
      const outcome = await this.#hear(waiting).catch((error: unknown) => this.#failed(error))
      if (outcome === 'none') return
      failures = outcome === 'ended' ? 0 : failures + 1
      const wait =
        outcome === 'ended' ? waiting.retry : Math.min(SOON_MS * 2 ** (failures - 1), MOST_RETRY_MS)
      await sleepFor(wait, { signal, ref: false })
    }
  }

  #failed(error: unknown): 'failed' | 'none' {
    if (error instanceof BadAnswerError) this.#services.complain(error)
    if (!(error instanceof ServerRefusedError)) return 'failed'
    this.#onRefused(error)
    if (this.acknowledged) this.#to.refused()
    return 'none'
  }

  async #hear(waiting: { retry: number }): Promise<'ended' | 'failed' | 'none'> {
    const { channel, maxBytes, complain } = this.#services
    const { signal } = this.#stopped
    const answer = await channel.post(ALONE, this.#request, this.#extra, signal)
    if (!isEventStream(answer)) {
      if (answer.status === 401 || answer.status === 403)
        throw new ServerRefusedError(await refusalOf(this.#request.id, answer))
      await drain(answer)
      // What a server does not offer it does not offer later.
      return mayPass(answer) ? 'failed' : 'none'
    }
    const onRetry = (ms: number) => (waiting.retry = ms)
    let isHeard = false
    for await (const { data } of readEvents(answer.body, { maxBytes, onRetry })) {
      if (data === '') continue
      for (const message of parseMessages(data, { onStrange: () => complain(noMessage()) })) {
        if (isResponse(message)) return 'error' in message && !isHeard ? 'none' : 'ended'
        if (this.#take(message)) isHeard = true
      }
    }
    return isHeard ? 'ended' : 'failed'
  }

  /** Whether that says that the server listens. */
  #take(message: JsonRpcMessage): boolean {
    if (!isNotification(message)) return false
    if (message.method !== ACKNOWLEDGED) {
      this.#to.tell(message)
      return false
    }
    if (this.acknowledged) this.#to.missed()
    const agreed = message.params?.['notifications']
    this.acknowledged =
      typeof agreed === 'object' && agreed !== null ? (agreed as Record<string, unknown>) : {}
    this.#onHeard()
    return true
  }
}
