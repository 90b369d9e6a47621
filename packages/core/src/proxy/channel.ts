import type { ProxySession } from '../call/record.js'
import { isRequest } from '../json-rpc.js'
import type { JsonRpcMessage, JsonRpcRequest } from '../json-rpc.js'
import { linkedWithin } from '../linked-signal.js'
import { isSessionless, SESSIONLESS } from '../protocol.js'
import type { MessageExtra } from '../session/transport.js'
import { checkAnswer, drain } from './answer.js'
import type { Answer } from './answer.js'
import { repeatingHeaders } from './repeating-headers.js'

/** Anything that serves MCP over Streamable HTTP: a handler of this process, or a server elsewhere. */
export interface Backend {
  /**
   * One HTTP exchange. Rejects with an `UnsentError` if the request has certainly not reached the server, with a
   * `BadAnswerError` if the answer can't be used, and with anything else if the request may have reached the server.
   * Rejects, and breaks the body, when the signal of the request fires.
   */
  exchange(request: ProxyRequest): Promise<Answer>
  /** Lets go of what is kept for the next request. */
  close?(): void | Promise<void>
  /** Its sessions outlive this node, and all nodes use the same one. */
  readonly shared: boolean
  /** Of a shared one: the same for the same server, and no secret. */
  readonly address?: string
}

export type ProxyRequest = {
  method: 'POST' | 'GET' | 'DELETE'
  headers: Record<string, string>
  body?: string
  signal: AbortSignal
  extra: MessageExtra
}

/** Nothing was sent: the server can't be reached. */
export class UnsentError extends Error {}

const ACCEPT = 'application/json, text/event-stream'
/** Without the header a server may choose any encoding, and a small body may be a large message. */
const PLAIN = { 'accept-encoding': 'identity' }

export const NO_SESSION: ProxySession = { id: undefined, protocol: undefined }
/** In the version without sessions, whose requests stand alone. */
export const ALONE: ProxySession = { id: undefined, protocol: SESSIONLESS }

/** Streamable HTTP from the client's side (specification 2025-11-25 and 2026-07-28, "Transports"). */
export class Channel {
  readonly #backend: Backend

  constructor(backend: Backend) {
    this.#backend = backend
  }

  post(session: ProxySession, message: JsonRpcMessage, extra: MessageExtra, signal: AbortSignal) {
    const repeating =
      isSessionless(session.protocol ?? '') && isRequest(message) ? repeatingHeaders(message, extra) : {}
    const own = { ...headersOf(session), 'content-type': 'application/json', accept: ACCEPT }
    const headers = { ...own, ...repeating }
    const body = JSON.stringify(message)
    return this.#exchange({ method: 'POST', headers, body, signal, extra })
  }

  /** What the server answers to a request that means nothing; `undefined`: nothing of use, in time. */
  async ask(session: ProxySession, probe: JsonRpcRequest, extra: MessageExtra, stopped: AbortSignal) {
    const signal = linkedWithin(ANSWERED_WITHIN_MS, stopped)
    const answer = await this.post(session, probe, extra, signal).catch(() => undefined)
    if (answer) await drain(answer)
    return answer
  }

  get(session: ProxySession, lastEventId: string | undefined, extra: MessageExtra, signal: AbortSignal) {
    const headers = {
      ...headersOf(session),
      accept: 'text/event-stream',
      ...(lastEventId !== undefined && { 'last-event-id': headerBytes(lastEventId) }),
    }
    return this.#exchange({ method: 'GET', headers, signal, extra })
  }

  async delete(session: ProxySession, extra: MessageExtra) {
    if (session.id === undefined) return
    const signal = AbortSignal.timeout(DELETE_WITHIN_MS)
    const headers = headersOf(session)
    await drain(await this.#exchange({ method: 'DELETE', headers, signal, extra }))
  }

  async #exchange(request: ProxyRequest): Promise<Answer> {
    return checkAnswer(await this.#backend.exchange(request))
  }
}

/** The id of an event goes back as its bytes in UTF-8 (HTML, "Server-sent events"); each is one character of a header. */
const headerBytes = (text: string) => Buffer.from(text, 'utf8').toString('latin1')

const DELETE_WITHIN_MS = 5_000
const ANSWERED_WITHIN_MS = 5_000

/** How a server refuses that does not know the session: 404 (specification, "Session Management"); some say 400, as to what is wrong otherwise. */
export const deniesSession = (answer: Answer | undefined) => answer?.status === 404 || answer?.status === 400

/** Whether a server that has refused a POST has lost its session: where that is not certain, it refuses a `ping` too. */
export async function hasLost({ id }: ProxySession, answer: Answer, ping: () => Promise<Answer | undefined>) {
  if (id === undefined || !deniesSession(answer)) return false
  return answer.status === 404 || deniesSession(await ping())
}

function headersOf({ id, protocol }: ProxySession): Record<string, string> {
  return {
    ...PLAIN,
    ...(id !== undefined && { 'mcp-session-id': id }),
    ...(protocol !== undefined && { 'mcp-protocol-version': protocol }),
  }
}
