import type { ProxySession } from '../call/record.js'
import type { JsonRpcMessage, JsonRpcRequest, JsonRpcResponse, Params, RequestId } from '../json-rpc.js'

/** A question as the server behind this one knows it. */
export type AskedQuestion = { id: RequestId; token?: RequestId; session: ProxySession }

/** Answers that are waited for; beyond it the oldest question is forgotten. A server decides how many it asks. */
const MOST_ASKED = 1000

/**
 * Ids of the questions of one session of the server, both ways. The server may begin its numbering anew at any
 * time, and its progress tokens need not be its ids, so the session server is given ids of ours.
 */
export class ProxyQuestions {
  readonly #asked = new Map<string, AskedQuestion>()
  #count = 0

  outgoing(request: JsonRpcRequest, session: ProxySession): JsonRpcRequest {
    const token = request.params?._meta?.['progressToken'] as RequestId | undefined
    const id = this.restore({ id: request.id, session, ...(token !== undefined && { token }) })
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

  /** The server gives a question up. */
  withdrawn(params: Params | undefined): Params {
    for (const [exposed, { id }] of this.#asked) {
      if (id !== params?.['requestId']) continue
      this.#asked.delete(exposed)
      return { ...params, requestId: exposed }
    }
    return { ...params }
  }

  /** An answer or progress of the client, as the server expects it, and the session that asked. */
  incoming(message: JsonRpcMessage): { message: JsonRpcMessage; session: ProxySession } | undefined {
    return 'method' in message ? this.#progress(message) : this.#answer(message)
  }

  #answer(answer: JsonRpcResponse) {
    const asked = this.#asked.get(String(answer.id))
    if (!asked) return undefined
    this.#asked.delete(String(answer.id))
    return { message: { ...answer, id: asked.id }, session: asked.session }
  }

  #progress(message: Exclude<JsonRpcMessage, JsonRpcResponse>) {
    const asked = this.#asked.get(String(message.params?.['progressToken']))
    if (!asked) return undefined
    const progressToken = asked.token ?? asked.id
    return {
      message: { ...message, params: { ...message.params, progressToken } },
      session: asked.session,
    }
  }
}
