// The server behind the nodes, a process of its own that knows nothing of them. Prints `listening on URL`; MCP is at /mcp.

import { createAdaptorServer } from '@hono/node-server'
import { readFileSync } from 'node:fs'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo } from 'node:net'
import { readFlags } from './flags.js'
import { createServer as createServer1 } from './server-sdk1.js'
import { createServer as createServer2 } from './server-sdk2.js'
import { SharedDir } from './shared-dir.js'
import { withoutSessions } from './sessionless.js'
import { tools } from './tools.js'
import { mapOfTransports } from './wrapped.js'

const flags = readFlags(process.argv.slice(2))
const dir = new SharedDir(flags.dir)
const createMcpServer = { 1: createServer1, 2: createServer2 }[flags.sdk]
const serve = flags.sessionless
  ? withoutSessions(dir)
  : mapOfTransports(flags.sdk, () => createMcpServer(tools(dir)), !flags.noEvents)

const secure = { createServer: createHttps, serverOptions: { cert: pem('cert'), key: pem('key') } }
const http = createAdaptorServer({ fetch: (request) => serve(request, {}), ...(flags.tls && secure) })
http.listen(flags.port, '127.0.0.1', () => {
  console.log(
    `listening on ${flags.tls ? 'https' : 'http'}://127.0.0.1:${(http.address() as AddressInfo).port}`,
  )
})

function pem(name: string) {
  return readFileSync(new URL(`../support/tls/${name}.pem`, import.meta.url))
}
