import type { JsonRpcMessage, JsonRpcRequest, Params, RequestId } from '../json-rpc.js'
import { DurableError } from '../errors.js'
import { isRequest, isResponse } from '../json-rpc.js'

/** `<call or server id>.<number or name>`: the id of a question to the client, and of its progress token. */
const QUESTION = /^([\w-]{22})\.[\w-]{1,23}$/

/** The call or server that asked, if this is the id of a question of ours. */
export const askerOf = (id: unknown) => (typeof id === 'string' ? QUESTION.exec(id)?.[1] : undefined)

/** Answers that one server object waits for. What asks decides how much is held. */
const MOST_UNANSWERED = 1000

/**
 * Ids of a server object's questions, both ways.
 *
 * A server object numbers its requests 0, 1, 2…, so the numbers of two nodes collide. On the wire a
 * question has an id that is unique in the session and names its asker.
 */
export class Questions {
  readonly #toSdk = new Map<string, RequestId>()
  readonly #toWire = new Map<RequestId, string>()
  /** The run that has asked, by the id on the wire. */
  readonly #askers = new Map<string, object>()

  get pending() {
    return this.#toSdk.size
  }

  /** The ids, on the wire, of what was asked and not answered. */
  get unanswered(): readonly string[] {
    return [...this.#toSdk.keys()]
  }

  /** Throws a `DurableError` `too-many-questions`. What was `asked` in an earlier run is no new question. */
  outgoing(request: JsonRpcRequest, wireId: string, asked = false, asker?: object): JsonRpcRequest {
    if (!asked && this.pending >= MOST_UNANSWERED) throw new DurableError('too-many-questions', TOO_MANY)
    this.#forget(wireId)
    this.#toSdk.set(wireId, request.id)
    this.#toWire.set(request.id, wireId)
    if (asker) this.#askers.set(wireId, asker)
    const { params } = request
    const token = params?._meta?.['progressToken']
    if (params === undefined || token === undefined) return { ...request, id: wireId }
    return {
      ...request,
      id: wireId,
      params: { ...params, _meta: { ...params._meta, progressToken: wireId } },
    }
  }

  /** A question that was asked through another node is known to the server object as `id`. */
  recall(wireId: string, id: RequestId) {
    this.#toSdk.set(wireId, id)
    this.#toWire.set(id, wireId)
  }

  /** The server object gives a question up; `undefined` if it had been answered. */
  withdrawn(params: Params | undefined): Params | undefined {
    const wireId = this.#toWire.get(params?.['requestId'] as RequestId)
    if (wireId === undefined) return undefined
    this.#forget(wireId)
    return { ...params, requestId: wireId }
  }

  /** It could not be asked. */
  forget({ id }: JsonRpcRequest) {
    const wireId = this.#toWire.get(id)
    if (wireId !== undefined) this.#forget(wireId)
  }

  /** A run is over, and hears no answers any more. */
  over(asker: object) {
    for (const [wireId, each] of this.#askers) if (each === asker) this.#forget(wireId)
  }

  /** An answer or progress from the client, with the server object's own id; `undefined` if nobody waits for it. */
  incoming(message: JsonRpcMessage): JsonRpcMessage | undefined {
    if (isResponse(message)) {
      const id = this.#toSdk.get(String(message.id))
      if (id === undefined) return undefined
      this.#forget(String(message.id))
      return { ...message, id }
    }
    if (isRequest(message)) return undefined
    const progressToken = this.#toSdk.get(String(message.params?.['progressToken']))
    return progressToken === undefined
      ? undefined
      : { ...message, params: { ...message.params, progressToken } }
  }

  #forget(wireId: string) {
    this.#toWire.delete(this.#toSdk.get(wireId) as RequestId)
    this.#toSdk.delete(wireId)
    this.#askers.delete(wireId)
  }
}

const TOO_MANY = `The client has ${MOST_UNANSWERED} questions of this session to answer. Ask again when it has answered some.`
