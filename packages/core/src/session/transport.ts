import type { JsonRpcMessage, RequestId } from '../json-rpc.js'

/** What comes with a message into a server object; the union of what both majors of the SDK read. */
export type MessageExtra = {
  authInfo?: unknown
  requestInfo?: { headers: Record<string, string>; url?: URL }
  request?: Request
  closeSSEStream?: () => void
  closeStandaloneSSEStream?: () => void
}
export type SendOptions = { relatedRequestId?: RequestId }

/**
 * The SDK's `Transport`, on the inside of a host. Loosely typed on purpose: server objects of
 * `@modelcontextprotocol/sdk` 1.x and of `@modelcontextprotocol/server` 2.x both connect to it.
 */
export class HostTransport {
  onmessage?: (message: never, extra?: never) => void
  onclose?: () => void
  onerror?: (error: Error) => void
  readonly sessionId: string
  readonly #send: (message: JsonRpcMessage, options?: SendOptions) => Promise<void>

  constructor(sessionId: string, send: (message: JsonRpcMessage, options?: SendOptions) => Promise<void>) {
    this.sessionId = sessionId
    this.#send = send
  }

  async start() {
    // Nothing to open: messages arrive through `deliver`.
  }

  send(message: JsonRpcMessage, options?: SendOptions) {
    return this.#send(message, options)
  }

  async close() {
    this.onclose?.()
  }

  deliver(message: JsonRpcMessage, extra?: MessageExtra) {
    this.onmessage?.(message as never, extra as never)
  }
}
