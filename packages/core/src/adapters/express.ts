import type { RequestHandler } from 'express'
import type { Durable } from '../durable.js'
import { checkMounted } from './check-mounted.js'
import { node } from './node.js'

export { fromNode } from './from-node.js'

/**
 * Mounts the server in Express 5 or 4: `app.use('/mcp', express(mcp))`, before or after `express.json()`.
 * Auth info is `req.auth`.
 */
export function express(mcp: Pick<Durable, 'fetch'>): RequestHandler {
  checkMounted('express', mcp)
  return node(mcp)
}
