import { DurableError } from '../errors.js'
import { randomId } from '../ids.js'
import type { JsonRpcNotification, JsonRpcRequest, JsonRpcResponse } from '../json-rpc.js'
import { ServerSilentError } from './session-errors.js'

const ANSWERED_WITHIN_MS = 30_000

/** Requests of our own to a server object, for what they do there or tell: no client waits for their answers. */
export class OwnRequests {
  readonly #waiting = new Map<string, (response: JsonRpcResponse) => void>()
  readonly #isBehind: boolean

  /** `isBehind`: the server object stands for a server behind this one. */
  constructor(isBehind = false) {
    this.#isBehind = isBehind
  }

  get size() {
    return this.#waiting.size
  }

  has(id: string) {
    return this.#waiting.has(id)
  }

  /** Rejects with a `DurableError` `setup-timeout` if the server object does not answer in time. */
  ask(
    request: JsonRpcRequest,
    deliver: (message: JsonRpcRequest | JsonRpcNotification) => void,
    withinMs = ANSWERED_WITHIN_MS,
  ): Promise<JsonRpcResponse> {
    const id = randomId()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        const { method } = request
        const params = { requestId: id, reason: 'Nobody waits for the answer any more.' }
        deliver({ jsonrpc: '2.0', method: 'notifications/cancelled', params })
        reject(
          this.#isBehind
            ? new ServerSilentError(method)
            : new DurableError('setup-timeout', `The server object did not answer ${method} in time.`),
        )
      }, withinMs)
      this.#waiting.set(id, (response) => {
        clearTimeout(timer)
        resolve({ ...response, id: request.id })
      })
      deliver({ ...request, id })
    })
  }

  /** Whether it answers one of these. */
  take(response: JsonRpcResponse): boolean {
    const id = String(response.id)
    const resolve = this.#waiting.get(id)
    this.#waiting.delete(id)
    resolve?.(response)
    return resolve !== undefined
  }
}
