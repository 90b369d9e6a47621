import { DurableError } from '../errors.js'
import type { Id, LooseMessage, LooseTransport, OwnIds } from './own-ids.js'
import type { TransportLike } from './transport-like.js'

const CLOSED = 'The connection was closed before the call had ended. It runs on: reconnect to get its result.'

/**
 * A call of an earlier client of the session, whose response this one waits for. The SDK's clients know only responses
 * to what they sent themselves. Everything else on the stream (questions, notifications) reaches the client as usual.
 */
export class ResumedCall {
  readonly outcome: Promise<unknown>
  readonly #ids: OwnIds
  readonly #id: Id
  readonly #transport: LooseTransport
  #settle!: { resolve: (result: unknown) => void; reject: (error: Error) => void }

  /** `transport` is connected already, and sends `ids`. */
  constructor(transport: TransportLike, ids: OwnIds) {
    this.#ids = ids
    this.#id = ids.toWire('resumed')
    this.#transport = transport as unknown as LooseTransport
    this.outcome = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    // Whoever does not ask for the outcome need not hear of a failure.
    this.outcome.catch(() => undefined)
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

  #takeResponse() {
    const pass = this.#transport.onmessage?.bind(this.#transport)
    this.#transport.onmessage = (message, extra) => {
      if (message.id === this.#id && 'result' in message) this.#settle.resolve(message.result)
      else if (this.#isOurError(message))
        this.#settle.reject(Object.assign(new Error(message.error?.message), message.error))
      else pass?.(message, extra)
    }
  }

  /** The SDK of 1.x leaves an error the id that it has from the call's own client. */
  #isOurError({ id, error }: LooseMessage) {
    return error !== undefined && id != null && (id === this.#id || !this.#ids.isOwn(id))
  }
}
