import type { EventBody } from './event-body.js'

const UNREAD = Symbol('unread')
type ResponseClass = typeof Response
type UnreadResponse = Response & { readonly [UNREAD]: UnreadBody }
type Known = {
  Response?: ResponseClass
  keepsBody?: boolean
  Unread?: new (events: EventBody, init: ResponseInit) => UnreadResponse
}
let known: Known = {}

/** A response whose body is sent as it comes. `sendsEvents`: by an adapter that looks for `unreadEvents` itself. */
export function eventResponse(
  events: EventBody,
  headers: Record<string, string>,
  sendsEvents: boolean,
): Response {
  const { Response } = globalThis
  if (known.Response !== Response) {
    const keepsBody = keepsBodyOf(Response)
    known = { Response, keepsBody, Unread: unreadClass(Response, keepsBody) }
  }
  const { keepsBody, Unread } = known
  return Unread && (keepsBody || sendsEvents)
    ? new Unread(events, { headers })
    : new Response(events.stream(), { headers })
}

/** The events of a response, as long as nobody has looked at its body: who sends them need not make a stream. */
export function unreadEvents(response: Response): EventBody | undefined {
  const { [UNREAD]: unread } = response as Partial<UnreadResponse>
  return unread?.read ? undefined : unread?.events
}

/**
 * @hono/node-server has a `Response` that leaves its body alone until somebody asks for it, and sends it with no more
 * than a reader. There a call need not pay for a `ReadableStream`, which costs as much as the rest of its HTTP.
 */
function keepsBodyOf(Response: ResponseClass): boolean {
  const probe = new Response({ getReader: () => undefined } as unknown as ReadableStream)
  return Object.getOwnPropertySymbols(probe).some(({ description }) => description === 'cache')
}

/** Whoever looks at the body, such as a middleware, gets a true stream, and then that is what is sent. */
function unreadClass(Response: ResponseClass, keepsBody: boolean): NonNullable<Known['Unread']> {
  class Unread extends Response {
    readonly [UNREAD]: UnreadBody

    constructor(events: EventBody, init: ResponseInit) {
      const unread = new UnreadBody(events)
      super(keepsBody ? (unread as unknown as ReadableStream) : null, init)
      this[UNREAD] = unread
    }

    get #read() {
      const { status, headers, [UNREAD]: unread } = this
      return (unread.read ??= new Response(unread.events.stream(), { status, headers }))
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
