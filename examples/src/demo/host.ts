import type { Served } from '@mcp-durable/core'
import { createExisting } from '../existing-server.js'
import type { Ledger } from './booking-tool.js'
import { createDemoServer } from './demo-server.js'

/** What is made durable: server objects, a server that exists in the same process, or one behind a URL. */
export const hosts = ['server', 'handler', 'upstream'] as const
export type Host = (typeof hosts)[number]

export function served(host: Host, upstream: string, nodeName: string, ledger: Ledger): Served {
  const make = () => createDemoServer(nodeName, ledger)
  switch (host) {
    case 'server':
      return { server: make }
    case 'handler':
      return { handler: createExisting(make).fetch }
    case 'upstream':
      return { upstream }
  }
}
