import { once } from 'node:events'
import type { Store } from '@mcp-durable/core'
import { numberOption } from '../command-line.js'
import type { OptionSpec } from '../command.js'
import type { Connected } from '../connect/connected.js'
import type { Context } from '../context.js'
import { usageError } from '../errors.js'
import { listening } from '../listen.js'
import { acting } from '../look/acting.js'
import type { MonitorModel } from '../monitor/model.js'
import { CallFeeds } from './call-feeds.js'
import { encode } from './encode.js'
import { Guard, isLoopback } from './guard.js'
import { Handles } from './handles.js'
import { PageServer } from './page-server.js'
import { Search } from './search.js'
import { readToken, tokenNeeded } from './token.js'
import type { Token } from './token.js'
import { Watcher } from './watcher.js'

export const webOptions = {
  web: { type: 'boolean', help: 'a page for browsers instead, on this machine only unless there is a token' },
  port: {
    type: 'string',
    value: 'N',
    help: 'with --web: port to listen on; 0 takes a free one (default: 7411)',
  },
  host: { type: 'string', value: 'ADDRESS', help: 'with --web: address to bind (default: 127.0.0.1)' },
  token: {
    type: 'string',
    value: 'FILE',
    help: 'with --web: whoever looks needs what is in this file (default: the variable MCP_DURABLE_WEB_TOKEN)',
  },
  'allow-actions': {
    type: 'boolean',
    help: 'with --web: calls may be cancelled, resumed, retried and forked',
  },
  by: { ...acting.by, help: `with --allow-actions: ${acting.by.help}` },
} satisfies Record<string, OptionSpec>

export type WebOptions = { host: string; port: number; token: Token | undefined; acts: boolean }

/** Checked before anything is connected. `undefined`: it is not for browsers. */
export function readWebOptions({ values }: Context): WebOptions | undefined {
  if (values['web'] !== true) {
    const given = Object.keys(webOptions).find((name) => values[name] !== undefined)
    if (given !== undefined) throw usageError(`--${given} is for --web.`, 'monitor')
    return undefined
  }
  const acts = values['allow-actions'] === true
  if (values['by'] !== undefined && !acts) throw usageError('--by is for --allow-actions.', 'monitor')
  const text = (name: string) => (typeof values[name] === 'string' ? values[name] : undefined)
  const host = text('host') ?? '127.0.0.1'
  const token = readToken(text('token'))
  if (!token && !isLoopback(host)) throw tokenNeeded(host)
  return { host, port: numberOption(values, 'port', 7411, 0, 65_535), token, acts }
}

type Serving = {
  context: Context
  connected: Connected
  store: Store
  model: MonitorModel
  everyMs: number
  leaseMs: number
}

/** Until somebody ends it. */
export async function serveWeb(
  { host, port, token, acts }: WebOptions,
  { context, connected, store, model, everyMs, leaseMs }: Serving,
  interrupted: AbortSignal,
): Promise<void> {
  const { privacy, output } = context
  const { inspect, area } = connected
  const handles = new Handles(privacy)
  const shown = { privacy, handles, acts, placeOf: (node: string) => model.place(node) }
  const page = new PageServer(
    {
      watcher: new Watcher(model, shown, { everyMs, encode }),
      feeds: new CallFeeds({ ...shown, inspect, store, leaseMs }),
      search: new Search(inspect, shown, leaseMs),
      handles,
      acting: acts ? { inspect, runs: context.runs(connected), handles } : undefined,
    },
    new Guard(token),
  )
  const url = await listening(page.server, port, host)
  const may = acts ? 'to look at, and to act on, what is kept' : 'to look at what is kept'
  const who = token ? 'for whoever has the token' : 'for this machine'
  output.line(`listening on ${url}, ${who}: ${may} ${area}`)
  if (!interrupted.aborted) await once(interrupted, 'abort')
  page.close()
  page.server.closeAllConnections()
}
