import { once } from 'node:events'
import type { Store } from '@mcp-durable/core'
import type { CallPlace } from '@mcp-durable/core/inspect'
import type { Connected } from '../connect/connected.js'
import type { Context } from '../context.js'
import { listening } from '../listen.js'
import type { MonitorModel } from '../monitor/model.js'
import { CallFeed } from './call-feed.js'
import { encode } from './encode.js'
import { Guard } from './guard.js'
import { Handles } from './handles.js'
import { PageServer } from './page-server.js'
import { OpenFeeds } from './open-feeds.js'
import { Search } from './search.js'
import { SessionFeed } from './session-feed.js'
import type { WebOptions } from './options.js'
import { Watcher } from './watcher.js'

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
  const feeding = { ...shown, inspect, store, leaseMs }
  const page = new PageServer(
    {
      watcher: new Watcher(model, shown, { everyMs, encode }),
      calls: new OpenFeeds((place: CallPlace) => new CallFeed(feeding, place)),
      sessions: new OpenFeeds((scope: string) => new SessionFeed(feeding, scope)),
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
