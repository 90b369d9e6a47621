import type { ServerResponse } from 'node:http'
import type { Context, MiddlewareHandler } from 'hono'
import type { Durable } from '../durable.js'
import { BODY_TAKEN } from '../http/body.js'
import { randomId } from '../ids.js'
import type { AuthInfo } from '../auth-info.js'
import type { FetchOptions } from '../http/exchange.js'
import { checkMounted } from './check-mounted.js'

/** A class, not a literal: see CONTRIBUTING.md. */
class Options implements FetchOptions {
  constructor(
    readonly authInfo: AuthInfo | undefined,
    readonly outgoing: ServerResponse | undefined,
    readonly parsedBody: unknown,
  ) {}
}

/** Mounts the server in Hono: `app.use('/mcp', hono(mcp))`. Auth info is what an earlier middleware `c.set('auth', …)`. */
export function hono(mcp: Pick<Durable, 'fetch'>): MiddlewareHandler {
  checkMounted('hono', mcp)
  return async (context: Context) => {
    const authInfo = context.get('auth') as AuthInfo | undefined
    // Present on @hono/node-server only.
    const { outgoing } = (context.env ?? {}) as { outgoing?: ServerResponse }
    const { raw } = context.req
    // An earlier middleware may have read the body; Hono has kept it.
    const parsedBody = raw.bodyUsed ? await context.req.text().catch(() => BODY_TAKEN) : undefined
    const response = await mcp.fetch(raw, new Options(authInfo, outgoing, parsedBody))
    // To make a tag, Hono's `etag()` would read the stream to its end, and nothing would come before.
    if (raw.method === 'GET' && response.status === 200) response.headers.set('etag', `"${randomId()}"`)
    return response
  }
}
