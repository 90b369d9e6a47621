import type { IncomingMessage, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { Durable } from '../durable.js'
import { BODY_TAKEN } from '../http/body.js'
import type { EventBody } from '../http/event-body.js'
import { unreadEvents } from '../http/event-response.js'
import type { AuthInfo } from '../auth-info.js'
import { checkMounted } from './check-mounted.js'

export { fromNode } from './from-node.js'

type Incoming = IncomingMessage & { auth?: AuthInfo; body?: unknown; rawBody?: unknown }

/**
 * Mounts the server in plain Node: `http.createServer(node(mcp))`, or in anything with `(req, res)` handlers.
 * Auth info is `req.auth`; a body that was read before is `req.body`: parsed, a text, or bytes.
 */
export function node(mcp: Pick<Durable, 'fetch'>) {
  checkMounted('node', mcp)
  return (incoming: Incoming, outgoing: ServerResponse): void => {
    const options = {
      authInfo: incoming.auth,
      parsedBody: bodyReadBefore(incoming),
      outgoing,
      sendsEvents: true,
    }
    const answer = async (request: Request) => {
      const response = await mcp.fetch(request, options)
      const events = unreadEvents(response)
      if (!events) return response
      begin(response, outgoing)
      void send(events, outgoing)
      return RESPONSE_ALREADY_SENT
    }
    // It answers failures itself.
    void getRequestListener(answer, { overrideGlobalObjects: false })(incoming, outgoing)
  }
}

/** Parsers that pass a request by may set `req.body` all the same, as those of Express 4 do: what nobody has read is read. */
function bodyReadBefore({ readableDidRead, body, rawBody }: Incoming): unknown {
  if (!readableDidRead) return undefined
  return body ?? rawBody ?? BODY_TAKEN
}

/** The client hears at once that a stream is open, which may say nothing for long. */
function begin({ status, headers }: Response, outgoing: ServerResponse) {
  const cookies = headers.getSetCookie()
  outgoing.writeHead(status, {
    ...Object.fromEntries(headers),
    ...(cookies.length > 0 && { 'set-cookie': cookies }),
  })
  outgoing.flushHeaders()
}

/** Sends events as they come, no faster than the client takes them, until they or the connection end. */
async function send(events: EventBody, outgoing: ServerResponse) {
  const cancel = () => void events.cancel()
  outgoing.once('close', cancel)
  if (outgoing.destroyed) cancel()
  try {
    for (;;) {
      const { done, value } = await events.read()
      if (outgoing.destroyed) return
      if (done) return void outgoing.off('close', cancel).end()
      if (!outgoing.write(value)) await drained(outgoing)
    }
  } catch (error) {
    outgoing.destroy(error as Error)
  }
}

/** Resolves when there is room again, or never will be. */
function drained(outgoing: ServerResponse) {
  return new Promise<void>((resolve) => {
    const done = () => {
      outgoing.off('drain', done).off('close', done)
      resolve()
    }
    outgoing.once('drain', done).once('close', done)
  })
}
