import { DurableError } from '../errors.js'
import type { TransportLike } from './transport-like.js'

type Id = string | number
type Message = {
  id?: Id | null
  method?: string
  result?: unknown
  error?: { code: number; message: string }
}
type Loose = {
  onmessage?: (message: Message, extra?: unknown) => void
  send(message: unknown, options?: unknown): Promise<void>
}

const CLOSED = 'The connection was closed before the call had ended. It runs on: reconnect to get its result.'

/**
 * A call of an earlier client of the session, whose response this one waits for. The SDK's clients know only responses
 * to what they sent themselves. Everything else on the stream (questions, notifications) reaches the client as usual.
 */
export class ResumedCall {
  readonly outcome: Promise<unknown>
  readonly #id = `resumed-${crypto.randomUUID()}`
  readonly #transport: Loose
  /** Ids of the client's own requests: the error of the resumed call keeps the id that its own client gave it. */
  readonly #own = new Set<Id>()
  #settle!: { resolve: (result: unknown) => void; reject: (error: Error) => void }

  /** `transport` is connected already. */
  constructor(transport: TransportLike) {
    this.#transport = transport as unknown as Loose
    this.outcome = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    // Whoever does not ask for the outcome need not hear of a failure.
    this.outcome.catch(() => undefined)
    this.#noteOwnRequests()
    this.#takeResponse()
  }

  /** Opens the stream; the message itself is not sent, its id becomes that of the result. */
  async begin(lastEventId: string) {
    const request = { jsonrpc: '2.0', id: this.#id, method: 'ping' }
    await this.#transport.send(request, { resumptionToken: lastEventId })
  }

  stop() {
    this.#settle.reject(new DurableError('connection-closed', CLOSED))
  }

  #noteOwnRequests() {
    const send = this.#transport.send.bind(this.#transport)
    this.#transport.send = (message, options) => {
      const { id, method } = message as Message
      if (id != null && method !== undefined && id !== this.#id) this.#own.add(id)
      return send(message, options)
    }
  }

  #takeResponse() {
    const pass = this.#transport.onmessage?.bind(this.#transport)
    this.#transport.onmessage = (message, extra) => {
      if (message.id === this.#id && 'result' in message) this.#settle.resolve(message.result)
      else if (this.#isOurError(message))
        this.#settle.reject(Object.assign(new Error(message.error?.message), message.error))
      else pass?.(message, extra)
    }
  }

  #isOurError({ id, error }: Message) {
    return error !== undefined && id != null && !this.#own.has(id)
  }
}
