import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonRpcMessage } from '../json-rpc.js'
import type { MessageExtra } from '../session/transport.js'
import { isEventStream } from './answer.js'
import { drained } from './channel.js'
import type { Channel, InnerSession } from './channel.js'
import { readEvents } from './events.js'
import { outside } from './outside.js'

export type StandaloneServices = {
  channel: Channel
  session: () => InnerSession
  /** The server does not know its session any more; resolves to the one to go on with. */
  revive: (stale: InnerSession) => Promise<InnerSession>
  extra: () => MessageExtra
  deliver: (message: JsonRpcMessage, session: InnerSession) => Promise<void>
}

const RETRY_MS = 1000
/** As long as the server can't be reached, attempts come at most this far apart. */
const MOST_RETRY_MS = 10_000
/** Refusals that may pass: another stream is open still, or the server is overloaded or starting. */
const TRANSIENT = new Set([409, 425, 429, 500, 502, 503, 504])

/** The server's standalone stream, kept open; it belongs to no call. */
export class StandaloneStream {
  readonly #services: StandaloneServices
  #stopped: AbortController | undefined

  constructor(services: StandaloneServices) {
    this.#services = services
  }

  open() {
    if (this.#stopped) return
    const stopped = new AbortController()
    this.#stopped = stopped
    void outside(() => this.#listen(stopped.signal)).finally(() => {
      if (this.#stopped === stopped) this.#stopped = undefined
    })
  }

  close() {
    this.#stopped?.abort()
    this.#stopped = undefined
  }

  async #listen(signal: AbortSignal) {
    let failures = 0
    const at = { retry: RETRY_MS, cursor: undefined as string | undefined, session: this.#services.session() }
    while (!signal.aborted) {
      const outcome = await this.#read(at, signal).catch(() => 'broken' as const)
      if (outcome === 'none') return
      failures = outcome === 'ended' ? 0 : failures + 1
      const wait = failures > 1 ? Math.min(at.retry * 2 ** (failures - 1), MOST_RETRY_MS) : at.retry
      await sleep(wait, undefined, { signal, ref: false }).catch(() => undefined)
    }
  }

  async #read(
    at: { retry: number; cursor: string | undefined; session: InnerSession },
    signal: AbortSignal,
  ): Promise<'ended' | 'refused' | 'none'> {
    const { channel, session, revive, extra, deliver } = this.#services
    const current = session()
    if (current.id !== at.session.id) Object.assign(at, { session: current, cursor: undefined })
    const response = await channel.get(at.session, at.cursor, extra(), signal)
    if (!isEventStream(response)) {
      await drained(response)
      if (TRANSIENT.has(response.status)) return 'refused'
      if (at.cursor !== undefined) {
        // The place is lost, the stream need not be.
        at.cursor = undefined
        return 'refused'
      }
      if (response.status !== 404 || at.session.id === undefined) return 'none'
      await revive(at.session)
      return 'refused'
    }
    for await (const { id, data } of readEvents(response.body, (ms) => (at.retry = ms))) {
      at.cursor = id ?? at.cursor
      if (data !== '') await deliver(JSON.parse(data) as JsonRpcMessage, at.session)
    }
    return 'ended'
  }
}
