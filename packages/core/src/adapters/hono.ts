import type { ServerResponse } from 'node:http'
import type { Context, MiddlewareHandler } from 'hono'
import type { Durable } from '../durable.js'
import { BODY_TAKEN } from '../http/body.js'
import type { AuthInfo } from '../options.js'

/** Mounts the server in Hono: `app.use('/mcp', hono(mcp))`. Auth info is what an earlier middleware `c.set('auth', …)`. */
export function hono(mcp: Pick<Durable, 'fetch'>): MiddlewareHandler {
  return async (context: Context) => {
    const authInfo = context.get('auth') as AuthInfo | undefined
    // Present on @hono/node-server only.
    const { outgoing } = (context.env ?? {}) as { outgoing?: ServerResponse }
    const options = { authInfo, outgoing }
    const { raw } = context.req
    if (!raw.bodyUsed) return mcp.fetch(raw, options)
    // An earlier middleware has read the body; Hono has kept it.
    const parsedBody = await context.req.text().catch(() => BODY_TAKEN)
    return mcp.fetch(raw, { ...options, parsedBody })
  }
}
