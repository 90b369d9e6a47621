import type { ProxySession } from '../call/record.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse, Params, RequestId } from '../json-rpc.js'
import type { ProxyCall } from './proxy-call.js'

/** Where the server asks. `call`: in which, if in any. */
export type Asking = { session: ProxySession; call?: ProxyCall }

/** A question as the server behind this one knows it. */
export type AskedQuestion = Asking & { id: RequestId; token?: RequestId }

/** What a client says to a question, as the server expects it. */
type Incoming = Asking & { message: JsonRpcMessage }

/** Answers that are waited for; beyond it the oldest question is forgotten. A server decides how many it asks. */
const MOST_ASKED = 1000

/**
 * Ids of the questions of one session of the server, both ways. The server may begin its numbering anew at any
 * time, and its progress tokens need not be its ids, so the session server is given ids of ours.
 */
export class ProxyQuestions {
  readonly #asked = new Map<string, AskedQuestion>()
  #count = 0

  outgoing(request: JsonRpcRequest, from: Asking): JsonRpcRequest {
    const token = request.params?._meta?.['progressToken'] as RequestId | undefined
    const id = this.restore({ ...from, id: request.id, ...(token !== undefined && { token }) })
    if (!request.params || token === undefined) return { ...request, id }
    const _meta = { ...request.params._meta, progressToken: id }
    return { ...request, id, params: { ...request.params, _meta } }
  }

  /** Knows a question again that was asked through another node; resolves to its id here. */
  restore(question: AskedQuestion): string {
    const id = `q${++this.#count}`
    this.#asked.set(id, question)
    const [oldest] = this.#asked.keys()
    if (this.#asked.size > MOST_ASKED && oldest !== undefined) this.#asked.delete(oldest)
    return id
  }

  /** The server gives a question up: the newest that has the id. */
  withdrawn(params: Params | undefined, session: ProxySession): Params {
    const exposed = this.#newest(params?.['requestId'], session)
    if (exposed === undefined) return { ...params }
    this.#asked.delete(exposed)
    return { ...params, requestId: exposed }
  }

  /** Whether the server has asked this here. */
  isAsked(id: unknown, session: ProxySession): boolean {
    return this.#newest(id, session) !== undefined
  }

  #newest(id: unknown, session: ProxySession): string | undefined {
    const isIt = ([, asked]: [string, AskedQuestion]) => asked.id === id && asked.session.id === session.id
    return [...this.#asked].findLast(isIt)?.[0]
  }

  /** Nobody waits any more for what was asked in a call. */
  over(call: ProxyCall) {
    for (const [exposed, asked] of this.#asked) if (asked.call === call) this.#asked.delete(exposed)
  }

  /** An answer or progress of the client, as the server expects it, and where it has asked. */
  incoming(message: JsonRpcMessage): Incoming | undefined {
    return 'method' in message ? this.#progress(message) : this.#answer(message)
  }

  #answer(answer: JsonRpcResponse) {
    const asked = this.#asked.get(String(answer.id))
    if (!asked) return undefined
    this.#asked.delete(String(answer.id))
    return { ...placeOf(asked), message: { ...answer, id: asked.id } }
  }

  #progress(message: Exclude<JsonRpcMessage, JsonRpcResponse>) {
    const asked = this.#asked.get(String(message.params?.['progressToken']))
    if (!asked) return undefined
    const progressToken = asked.token ?? asked.id
    return { ...placeOf(asked), message: { ...message, params: { ...message.params, progressToken } } }
  }
}

const placeOf = ({ session, call }: AskedQuestion): Asking => ({ session, ...(call && { call }) })
