import { createServer, request as requestHttp } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Duplex, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { checkGiven } from '../known-options.js'
import { checkAnswer } from '../proxy/answer.js'
import type { FetchHandler } from '../proxy/local-backend.js'
import { answerOf, incomingFor } from '../proxy/node-http.js'
import type { AuthInfo } from '../auth-info.js'

type Incoming = IncomingMessage & { auth?: AuthInfo }
/** `fail`: the handler has thrown. */
type Exchange = { authInfo: AuthInfo | undefined; fail: (error: Error) => void }

const NO_BODY = new Set([204, 205, 304])

/**
 * An Express application or any other `(req, res)` handler as what `durable({ handler })` takes. Each request goes to it
 * over a connection of its own in memory: it gets the real request and response objects of Node.js, streams as they
 * come, and runs in the async context of the call. Auth info is `req.auth`.
 */
export function fromNode(handler: (req: never, res: ServerResponse<never>) => unknown): FetchHandler {
  checkGiven(typeof handler === 'function', 'fromNode() takes a (req, res) handler, as Express has', handler)
  const exchanges = new WeakMap<Duplex, Exchange>()
  const server = createServer((incoming: Incoming, outgoing) => {
    const { authInfo, fail } = exchanges.get(incoming.socket) ?? {}
    if (authInfo) incoming.auth = authInfo
    // What it throws concerns this one request, and not the process.
    const handling = async () => handler(incoming as never, outgoing as never)
    handling().catch((error: Error) => fail?.(error))
  })
  return async (request, { authInfo }) => {
    const body = request.body && (await buffer(request.body))
    const [near, far] = connection()
    const { pathname, search, host } = new URL(request.url)
    const outgoing = requestHttp({
      method: request.method,
      path: pathname + search,
      headers: {
        host,
        ...Object.fromEntries(request.headers),
        connection: 'close',
        ...(body && { 'content-length': body.byteLength }),
      },
      createConnection: () => near,
    })
    exchanges.set(far, { authInfo, fail: (error) => outgoing.destroy(error) })
    server.emit('connection', far)
    outgoing.end(body)
    return responseOf(await incomingFor(outgoing, request.signal))
  }
}

function responseOf(incoming: IncomingMessage): Response {
  const { status } = checkAnswer(answerOf(incoming))
  const headers = new Headers()
  for (const [name, values = []] of Object.entries(incoming.headersDistinct))
    for (const value of values) headers.append(name, value)
  if (!NO_BODY.has(status))
    return new Response(Readable.toWeb(incoming) as ReadableStream<Uint8Array>, { status, headers })
  incoming.resume()
  return new Response(null, { status, headers })
}

/** Two ends of one connection: what is written to one is read from the other, no faster than it is read. */
function connection(): [End, End] {
  const [near, far] = [new End(), new End()]
  near.other = far
  far.other = near
  return [near, far]
}

class End extends Duplex {
  other!: End
  #onRead: (() => void) | undefined

  override _read() {
    const onRead = this.#onRead
    this.#onRead = undefined
    onRead?.()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void) {
    this.other.#take(chunk, done)
  }

  override _final(done: () => void) {
    if (!this.other.destroyed) this.other.push(null)
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void) {
    done(error)
    // The other end of a socket finds it closed a moment later.
    process.nextTick(() => this.other.destroy())
  }

  #take(chunk: Buffer, taken: () => void) {
    if (this.destroyed || this.push(chunk)) taken()
    else this.#onRead = taken
  }
}
