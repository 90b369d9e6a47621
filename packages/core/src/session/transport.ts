import type { ProxyRecord, Origin, ResumePoint } from '../call/record.js'
import type { JsonRpcMessage, RequestId } from '../json-rpc.js'

/** What comes with a message into a server object; the union of what both majors of the SDK read. */
export type MessageExtra = {
  authInfo?: unknown
  requestInfo?: { headers: Record<string, string>; url?: URL }
  request?: Request
  /** When the request came, by those that came to this node before. */
  arrival?: number | undefined
  closeSSEStream?: () => void
  closeStandaloneSSEStream?: () => void
  /** Where the request was sent, when the request itself is not at hand any more. */
  url?: string
  /** Headers that repeat parameters of a tool, for a server behind this one. */
  mirrored?: Readonly<Record<string, string>> | undefined
  /** It shows by now whether the server behind this one refuses the request. */
  onHead?: (() => void) | undefined
}

/** What ends the streams of a request; see the SDK's `RequestHandlerExtra`. */
export type Closers = Pick<MessageExtra, 'closeSSEStream' | 'closeStandaloneSSEStream'>

/** Member by member: what is added to a spread takes V8 a hidden class each time. */
export function withClosers(extra: MessageExtra, closers: Closers): MessageExtra {
  const { authInfo, requestInfo, request, arrival, url, mirrored, onHead } = extra
  const { closeSSEStream, closeStandaloneSSEStream } = closers
  return {
    authInfo,
    requestInfo,
    request,
    arrival,
    url,
    mirrored,
    onHead,
    closeSSEStream,
    closeStandaloneSSEStream,
  } satisfies Record<keyof MessageExtra, unknown>
}

/** Of a request whose earlier run was interrupted: from where an upstream may go on with it, if that is known. */
export type Interrupted = { resume?: ResumePoint }

/** What comes with a request that is dispatched: `interrupted` is said of that request alone, never of what is asked on its behalf. */
export type DispatchExtra = MessageExtra & { interrupted?: Interrupted }
export type SendOptions = {
  relatedRequestId?: RequestId
  origin?: Origin
  /** A name for a standalone message: sent again under it, by any node, it is not sent twice. */
  once?: string
}

/** What a server object that stands for a server behind HTTP asks of its session server, beside sending messages. */
export interface CallKeeper {
  /** Notes in the journal of a request where the server stands with it. */
  record(requestId: string, record: ProxyRecord): Promise<void>
  /** Whether a request may be run once more; if so, what it has sent so far counts as an earlier run's. */
  startOver(requestId: string): Promise<boolean>
  /** A question that was asked through another node has an id of the server object here. */
  recall(requestId: string, question: string, here: string): void
}

/**
 * The SDK's `Transport`, on the inside of a session server. Loosely typed on purpose: server objects of
 * `@modelcontextprotocol/sdk` 1.x and of `@modelcontextprotocol/server` 2.x both connect to it.
 */
export class ServerTransport {
  onmessage?: (message: never, extra?: never) => void
  onclose?: () => void
  onerror?: (error: Error) => void
  readonly sessionId: string | undefined
  readonly #send: (message: JsonRpcMessage, options?: SendOptions) => Promise<void>
  readonly #keeper: CallKeeper
  readonly #closed: (() => void) | undefined

  /** `closed`: the server object has closed it, and answers nothing any more. */
  constructor(
    sessionId: string | undefined,
    send: (message: JsonRpcMessage, options?: SendOptions) => Promise<void>,
    keeper: CallKeeper,
    closed?: () => void,
  ) {
    this.sessionId = sessionId
    this.#send = send
    this.#keeper = keeper
    this.#closed = closed
  }

  async start() {
    // Nothing to open: messages arrive through `deliver`.
  }

  send(message: JsonRpcMessage, options?: SendOptions) {
    return this.#send(message, options)
  }

  async close() {
    this.onclose?.()
    this.#closed?.()
  }

  record(requestId: string, record: ProxyRecord) {
    return this.#keeper.record(requestId, record)
  }

  startOver(requestId: string) {
    return this.#keeper.startOver(requestId)
  }

  recall(requestId: string, question: string, here: string) {
    this.#keeper.recall(requestId, question, here)
  }

  deliver(message: JsonRpcMessage, extra?: DispatchExtra) {
    this.onmessage?.(message as never, extra as never)
  }
}
