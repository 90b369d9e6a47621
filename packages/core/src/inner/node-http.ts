import type { ClientRequest, IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { UnsentError } from './channel.js'

const CONNECT_WITHIN_MS = 10_000
const NO_BODY = new Set([204, 205, 304])

/** The response to a request of Node’s `http`, its body a stream. Rejects with an `UnsentError` if nothing was sent. */
export function responseOf(outgoing: ClientRequest): Promise<Response> {
  return new Promise((resolve, reject) => {
    let connected = false
    outgoing.once('socket', (socket) => {
      // Nothing of a request is sent before both sides have agreed on their keys.
      const secure = socket instanceof TLSSocket
      connected = outgoing.reusedSocket || !(secure || socket.connecting)
      if (connected) return
      const ready = secure ? 'secureConnect' : 'connect'
      const timer = setTimeout(
        () => outgoing.destroy(new Error('The upstream did not accept a connection in time.')),
        CONNECT_WITHIN_MS,
      )
      socket.once(ready, () => (connected = true))
      for (const event of [ready, 'close']) socket.once(event, () => clearTimeout(timer))
    })
    outgoing.once('response', (incoming) => resolve(toResponse(incoming)))
    outgoing.on('error', (error) =>
      reject(
        connected
          ? error
          : new UnsentError(`The upstream cannot be reached: ${error.message}`, { cause: error }),
      ),
    )
  })
}

function toResponse(incoming: IncomingMessage): Response {
  const { statusCode: status = 502, headersDistinct } = incoming
  const headers = new Headers()
  for (const [name, values = []] of Object.entries(headersDistinct))
    for (const value of values) headers.append(name, value)
  if (NO_BODY.has(status)) {
    incoming.resume()
    return new Response(null, { status, headers })
  }
  return new Response(Readable.toWeb(incoming) as ReadableStream<Uint8Array>, { status, headers })
}
