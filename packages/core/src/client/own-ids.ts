import type { TransportLike } from './transport-like.js'

export type Id = string | number
/** A message of any kind, as far as it is looked at. */
export type LooseMessage = {
  id?: Id | null
  method?: string
  params?: { requestId?: Id; progressToken?: Id; _meta?: { progressToken?: Id } }
  result?: unknown
  error?: { code: number; message: string }
}
export type LooseTransport = {
  onmessage?: (message: LooseMessage, extra?: unknown) => void
  send(message: LooseMessage, options?: unknown): Promise<void>
}

/**
 * Each client numbers its requests from 0, and so did the one whose session this one goes on with; what that has begun may run still.
 * So the ids of this one, and its progress tokens, which are the same numbers, go over the wire with a prefix that no other has.
 */
export class OwnIds {
  readonly #prefix = `${crypto.randomUUID()}:`

  /** `transport` is connected already. */
  constructor(transport: TransportLike) {
    const loose = transport as unknown as LooseTransport
    const send = loose.send.bind(loose)
    loose.send = (message, options) => send(this.#outgoing(message), options)
    const pass = loose.onmessage?.bind(loose)
    loose.onmessage = (message, extra) => pass?.(this.#incoming(message), extra)
  }

  /** An id as it goes over the wire; one that is so already stays. */
  toWire(id: Id): Id {
    return this.isOwn(id) ? id : this.#prefix + JSON.stringify(id)
  }

  isOwn(id: unknown): id is string {
    return typeof id === 'string' && id.startsWith(this.#prefix)
  }

  /** What was never an id of this client must not look like one: `Number` makes one of many a text. */
  #fromWire(id: Id): Id {
    return this.isOwn(id) ? (JSON.parse(id.slice(this.#prefix.length)) as Id) : `other:${id}`
  }

  #outgoing(message: LooseMessage): LooseMessage {
    const { id, method, params } = message
    if (method === 'notifications/cancelled' && params?.requestId != null)
      return { ...message, params: { ...params, requestId: this.toWire(params.requestId) } }
    // Answers and their progress have the ids of the server.
    if (method === undefined || id == null) return message
    const request = { ...message, id: this.toWire(id) }
    const token = params?._meta?.progressToken
    if (token == null) return request
    return {
      ...request,
      params: { ...params, _meta: { ...params?._meta, progressToken: this.toWire(token) } },
    }
  }

  #incoming(message: LooseMessage): LooseMessage {
    const { id, method, params } = message
    if (method === undefined) return id == null ? message : { ...message, id: this.#fromWire(id) }
    if (method !== 'notifications/progress' || params?.progressToken == null) return message
    return { ...message, params: { ...params, progressToken: this.#fromWire(params.progressToken) } }
  }
}
