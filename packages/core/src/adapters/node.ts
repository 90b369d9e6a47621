import type { IncomingMessage, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import type { Durable } from '../durable.js'
import type { AuthInfo } from '../options.js'

export { fromNode } from './from-node.js'

type Incoming = IncomingMessage & { auth?: AuthInfo; body?: unknown }

/**
 * Mounts the server in plain Node: `http.createServer(node(mcp))`, or in anything with `(req, res)` handlers.
 * Auth info is `req.auth`; a body that was parsed before is `req.body`.
 */
export function node(mcp: Pick<Durable, 'fetch'>) {
  return (incoming: Incoming, outgoing: ServerResponse): void => {
    const { auth: authInfo, body: parsedBody } = incoming
    const listener = getRequestListener((request) => mcp.fetch(request, { authInfo, parsedBody, outgoing }), {
      overrideGlobalObjects: false,
    })
    // It answers failures itself.
    void listener(incoming, outgoing)
  }
}
