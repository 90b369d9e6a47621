import type { EventBody } from './event-body.js'

type ResponseClass = typeof Response
type UnreadResponseClass = new (events: EventBody, init: ResponseInit) => Response

/** A response whose body is sent as it comes. */
export function eventResponse(events: EventBody, headers: Record<string, string>): Response {
  const init = { headers }
  const { Response } = globalThis
  if (known.Response !== Response)
    known = { Response, Unread: keepsBody(Response) ? unread(Response) : undefined }
  return known.Unread ? new known.Unread(events, init) : new Response(events.stream(), init)
}

let known: { Response?: ResponseClass; Unread?: UnreadResponseClass | undefined } = {}

/**
 * @hono/node-server has a `Response` that leaves its body alone until somebody asks for it, and sends it with no more
 * than a reader. There a call need not pay for a `ReadableStream`, which costs as much as the rest of its HTTP.
 */
function keepsBody(Response: ResponseClass): boolean {
  const probe = new Response({ getReader: () => undefined } as unknown as ReadableStream)
  return Object.getOwnPropertySymbols(probe).some(({ description }) => description === 'cache')
}

/** Whoever looks at the body, such as a middleware, gets a true stream, and then that is what is sent. */
function unread(Response: ResponseClass): UnreadResponseClass {
  class Unread extends Response {
    readonly #unread: UnreadBody

    constructor(events: EventBody, init: ResponseInit) {
      const body = new UnreadBody(events)
      super(body as unknown as ReadableStream, init)
      this.#unread = body
    }

    get #read() {
      const { status, headers } = this
      return (this.#unread.read ??= new Response(this.#unread.events.stream(), { status, headers }))
    }

    static {
      for (const name of ['body', 'bodyUsed'] as const)
        Object.defineProperty(this.prototype, name, {
          get(this: Unread) {
            return this.#read[name]
          },
        })
      for (const name of ['arrayBuffer', 'blob', 'clone', 'formData', 'json', 'text'] as const)
        Object.defineProperty(this.prototype, name, {
          value(this: Unread) {
            return this.#read[name]()
          },
        })
    }
  }
  return Unread
}

/** What of a `ReadableStream` is used to send it. */
class UnreadBody {
  /** What somebody has looked at. */
  read: Response | undefined

  constructor(readonly events: EventBody) {}

  get locked() {
    return this.read?.body?.locked ?? false
  }

  getReader() {
    return this.read?.body?.getReader() ?? this.events
  }

  cancel() {
    return this.read?.body?.cancel() ?? this.events.cancel()
  }
}
