import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { createEverythingServer } from '../everything-server.js'
import { registerBookingTool, type Ledger } from './booking-tool.js'

/** The server of the demo: all of `everything`, and a tool whose call outlives its node. */
export function createDemoServer(nodeName: string, ledger: Ledger): McpServer {
  const server = createEverythingServer({ nodeName })
  registerBookingTool(server, nodeName, ledger)
  return server
}
