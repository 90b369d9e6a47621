import type { ClientRequest, IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import { BadAnswerError } from './answer.js'
import type { Answer } from './answer.js'
import { UnsentError } from './channel.js'

const CONNECT_WITHIN_MS = 10_000

/**
 * What comes back for a request of Node’s `http`. Rejects with an `UnsentError` if nothing was sent, and with a
 * `BadAnswerError` if it is not HTTP. Both are broken off when the signal fires. The request must not have it as its own:
 * Node destroys the socket with an error then, and if the response ends at that moment nobody listens to the socket.
 */
export function incomingFor(outgoing: ClientRequest, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    let connected = false
    let stop = () => void outgoing.destroy(signal.reason as Error)
    const onAbort = () => stop()
    signal.addEventListener('abort', onAbort, { once: true })
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
    outgoing.once('response', (incoming) => {
      // Whoever reads the body is told; if nobody does at that moment, an error would end the process.
      incoming.on('error', () => undefined)
      stop = () => void incoming.destroy()
      resolve(incoming)
    })
    outgoing.once('upgrade', (_incoming, socket) => {
      socket.destroy()
      reject(new BadAnswerError('wants to speak another protocol'))
    })
    outgoing.on('error', (error: NodeJS.ErrnoException) =>
      reject(connected ? meaningOf(error) : unsent(error)),
    )
    // Whatever else ends it: a promise that nothing settles would hold the call for ever.
    outgoing.once('close', () => {
      signal.removeEventListener('abort', onAbort)
      reject(new Error('The upstream closed the connection without an answer.'))
    })
    if (signal.aborted) stop()
  })
}

const unsent = (error: Error) =>
  new UnsentError(`The upstream cannot be reached: ${error.message}`, { cause: error })

/** What the parser of Node refuses was sent by the server; what breaks a connection was not. */
const meaningOf = (error: NodeJS.ErrnoException) =>
  typeof error.code === 'string' && error.code.startsWith('HPE_')
    ? new BadAnswerError(`answered with what is not HTTP (${error.code})`, { cause: error })
    : error

export function answerOf(incoming: IncomingMessage): Answer {
  return {
    status: incoming.statusCode ?? 0,
    header: (name) => incoming.headersDistinct[name]?.join(', '),
    body: incoming,
    cancel: () => void incoming.destroy(),
  }
}
