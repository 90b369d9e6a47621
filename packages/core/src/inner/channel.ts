import type { InnerSession } from '../call/record.js'
import type { JsonRpcMessage } from '../json-rpc.js'
import type { MessageExtra } from '../session/transport.js'

/** Anything that serves MCP over Streamable HTTP: a handler of this process, or a server elsewhere. */
export interface Backend {
  /**
   * One HTTP exchange. Rejects with an `UnsentError` if the request has certainly not reached the server, and with
   * anything else if it may have.
   */
  exchange(request: InnerRequest): Promise<Response>
  /** Lets go of what is kept for the next request. */
  close?(): void
  /** Its sessions outlive this node, and all nodes use the same one. */
  readonly shared: boolean
}

export type InnerRequest = {
  method: 'POST' | 'GET' | 'DELETE'
  headers: Record<string, string>
  body?: string
  signal?: AbortSignal
  extra: MessageExtra
}

/** Nothing was sent: the server can't be reached. */
export class UnsentError extends Error {}

const ACCEPT = 'application/json, text/event-stream'

export const NO_SESSION: InnerSession = { id: undefined, protocol: undefined }

/** Streamable HTTP from the client's side (specification 2025-11-25, "Transports"). */
export class Channel {
  readonly #backend: Backend

  constructor(backend: Backend) {
    this.#backend = backend
  }

  post(session: InnerSession, message: JsonRpcMessage, extra: MessageExtra, signal: AbortSignal) {
    const headers = { ...headersOf(session), 'content-type': 'application/json', accept: ACCEPT }
    const body = JSON.stringify(message)
    return this.#backend.exchange({ method: 'POST', headers, body, signal, extra })
  }

  get(session: InnerSession, lastEventId: string | undefined, extra: MessageExtra, signal: AbortSignal) {
    const headers = {
      ...headersOf(session),
      accept: 'text/event-stream',
      ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
    }
    return this.#backend.exchange({ method: 'GET', headers, signal, extra })
  }

  async delete(session: InnerSession, extra: MessageExtra) {
    if (session.id === undefined) return
    const signal = AbortSignal.timeout(DELETE_WITHIN_MS)
    const headers = headersOf(session)
    await drained(await this.#backend.exchange({ method: 'DELETE', headers, signal, extra }))
  }
}

/** A body that is read to its end leaves its connection for the next request; a stream may have no end. */
export async function drained(response: Response) {
  if (response.headers.get('content-type')?.startsWith('text/event-stream')) await response.body?.cancel()
  else await response.arrayBuffer()
}

const DELETE_WITHIN_MS = 5_000

function headersOf({ id, protocol }: InnerSession): Record<string, string> {
  return {
    ...(id !== undefined && { 'mcp-session-id': id }),
    ...(protocol !== undefined && { 'mcp-protocol-version': protocol }),
  }
}
