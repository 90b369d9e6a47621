// One node of the system under test. Prints `listening on URL`; MCP is at /mcp, and POST /control speaks for the
// application code that a real node would have.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { durable, type Notification, type Served } from '@mcp-durable/core'
import { node } from '@mcp-durable/core/node'
import { redisStore } from '@mcp-durable/redis-store'
import { Cluster, Redis } from 'ioredis'
import { CrashingStore, type CrashPoint } from './crashing-store.js'
import { readFlags, type Flags } from './flags.js'
import { createServer as createServer1 } from './server-sdk1.js'
import { createServer as createServer2 } from './server-sdk2.js'
import { SharedDir } from './shared-dir.js'
import { withoutSessions } from './sessionless.js'
import { tools } from './tools.js'
import { mapOfTransports } from './wrapped.js'

/** What `POST /control` takes; its answer is `{ result }`. */
export type Command =
  | { do: 'notify'; sessionId: string; notification: Notification }
  | { do: 'broadcast'; notification: Notification }
  | { do: 'crash-at'; point: CrashPoint }
  | { do: 'nothing' }

const flags = readFlags(process.argv.slice(2))
const redis = connect(flags)
// Without a listener ioredis prints every failed attempt; that Redis is away is what some tests are about.
redis.on('error', () => undefined)
const crashing = new CrashingStore(
  redisStore(redis, { prefix: flags.prefix, ...flags.storeOptions }),
  flags.crashAt,
)
const dir = new SharedDir(flags.dir)
const createMcpServer = { 1: createServer1, 2: createServer2 }[flags.sdk]
const make = () => createMcpServer(tools(dir))
const mcp = durable({ ...flags.options, ...served(), store: crashing.store })
const serveMcp = node(mcp)

const http = createServer((request, response) => {
  if (request.url === '/control') void control(request, response)
  else serveMcp(Object.assign(request, { auth: authInfoOf(request) }), response)
})
http.listen(flags.port, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${(http.address() as AddressInfo).port}`)
})

process.once('SIGTERM', () => void leave())

/** As an auth middleware would leave it: the token is `<client id>:<secret>`. */
function authInfoOf({ headers }: IncomingMessage) {
  const token = headers.authorization?.replace('Bearer ', '')
  return token === undefined ? undefined : { token, clientId: token.slice(0, token.indexOf(':')), scopes: [] }
}

function served(): Served {
  switch (flags.host) {
    case 'server':
      return { server: make }
    case 'handler':
      return { handler: flags.sessionless ? withoutSessions(dir) : mapOfTransports(flags.sdk, make) }
    case 'upstream':
      return { upstream: flags.upstream }
    case 'stdio': {
      const server = fileURLToPath(new URL('stdio-server.js', import.meta.url))
      const args = [server, '--dir', flags.dir, '--sdk', String(flags.sdk)]
      return { stdio: { command: process.execPath, args } }
    }
  }
}

async function leave() {
  const closed = new Promise((resolve) => http.close(resolve))
  await mcp.close({ graceMs: flags.graceMs })
  await closed
  redis.disconnect()
}

async function control(request: IncomingMessage, response: ServerResponse) {
  try {
    const result = await obey((await json(request)) as Command)
    response.end(JSON.stringify({ result }))
  } catch (error) {
    response.writeHead(500).end(JSON.stringify({ error: String(error) }))
  }
}

async function obey(command: Command): Promise<unknown> {
  switch (command.do) {
    case 'notify':
      return mcp.notify(command.sessionId, command.notification)
    case 'broadcast':
      return mcp.broadcast(command.notification)
    case 'crash-at':
      crashing.crashAt = command.point
      return true
    case 'nothing':
      return true
  }
}

function connect({ redis: url, cluster }: Flags): Redis | Cluster {
  if (cluster.length > 0) return new Cluster(cluster)
  if (url !== undefined) return new Redis(url)
  throw new Error('node: give --redis URL or --cluster URL,URL')
}
