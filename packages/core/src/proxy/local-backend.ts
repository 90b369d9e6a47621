import { untilAborted } from '../context/timers.js'
import { ErrorCode, errorResponse } from '../json-rpc.js'
import type { Logger } from '../logger.js'
import type { AuthInfo } from '../auth-info.js'
import { BadAnswerError } from './answer.js'
import type { Answer } from './answer.js'
import type { Backend, ProxyRequest } from './channel.js'
import { keptHeader } from './kept-header.js'
import { repeats } from './repeating-headers.js'

/**
 * A web-standard handler, such as the `fetch` of an application or of the SDK's `createMcpHandler`. The second argument is what a
 * framework passes on as its environment; `authInfo`: an `AuthInfo`.
 */
export type FetchHandler = (
  request: Request,
  // oxlint-disable-next-line typescript/no-explicit-any -- each version of the SDK has a type of its own for it
  options: { authInfo?: any },
) => Response | Promise<Response>

const ANY_URL = 'http://localhost/mcp'
/** Headers that say something of the connection, or of a body or a session that is another one on the inside. */
const NOT_PASSED = new Set([
  'accept',
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'idempotency-key',
  'keep-alive',
  'last-event-id',
  'mcp-protocol-version',
  'mcp-session-id',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** A handler of this process. It is called in the context of the dispatch, so `durableContext()` works below it. */
export class LocalBackend implements Backend {
  readonly shared = false
  readonly #handler: FetchHandler
  readonly #logger: Logger
  #url = ANY_URL

  constructor(handler: FetchHandler, logger: Logger) {
    this.#handler = handler
    this.#logger = logger
  }

  async exchange({ method, headers, body, signal, extra }: ProxyRequest): Promise<Answer> {
    const { request, authInfo } = extra
    if (request) this.#url = request.url
    const authorization = keptHeader('authorization', authInfo)
    const kept: Record<string, string> = authorization === undefined ? {} : { authorization }
    const passed = request && [...request.headers].filter(([name]) => !NOT_PASSED.has(name) && !repeats(name))
    const inner = new Request(extra.url ?? request?.url ?? this.#url, {
      method,
      headers: { ...(passed ? Object.fromEntries(passed) : kept), ...headers },
      ...(body !== undefined && { body }),
      signal,
    })
    const options = authInfo === undefined ? {} : { authInfo: authInfo as AuthInfo }
    try {
      // A handler need not listen to the signal.
      return asAnswer(await untilAborted(signal, async () => this.#handler(inner, options)), signal)
    } catch (error) {
      if (signal.aborted || error instanceof BadAnswerError) throw error
      this.#logger.error({ error }, 'the wrapped handler failed')
      const failed = errorResponse(
        null,
        ErrorCode.internalError,
        'Internal error: the wrapped handler failed',
      )
      return asAnswer(Response.json(failed, { status: 500 }), signal)
    }
  }
}

/** A `Response` of any realm or polyfill. Throws for what is none. */
function asAnswer(response: Response, signal: AbortSignal): Answer {
  if (typeof response?.status !== 'number' || typeof response.headers?.get !== 'function')
    throw new TypeError('The handler resolved to something that is not a Response.')
  const reader = response.body?.getReader()
  const cancel = () => void reader?.cancel().catch(() => undefined)
  return {
    status: response.status,
    header: (name) => response.headers.get(name) ?? undefined,
    body: chunksOf(reader, signal, cancel),
    cancel,
  }
}

async function* chunksOf(
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
  signal: AbortSignal,
  cancel: () => void,
) {
  if (!reader) return
  try {
    for (;;) {
      const { value, done } = await untilAborted(signal, () => reader.read())
      if (done) return
      if (!(value instanceof Uint8Array)) throw new BadAnswerError('gave a body that is not made of bytes')
      yield value
    }
  } finally {
    cancel()
  }
}
