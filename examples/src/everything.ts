import { durable } from '@mcp-durable/core'
import {
  choiceFlag,
  closeOnSignal,
  fail,
  messageOf,
  portFlag,
  readFlags,
  redisFlag,
  serverOptions,
  serverUsage,
} from './cli.js'
import { createEverythingServer } from './everything-server.js'
import { createExisting } from './existing-server.js'
import { adapters, serveMcp } from './listen.js'
import { openStore } from './store.js'

const usage = `usage: node dist/everything.js [--port N] [--host HOST] [--redis URL] [--adapter hono|express|node]
                               [--ledger FILE] [--existing]

A server with every fixture of the official conformance suites, made durable, at /mcp.

${serverUsage}
  --adapter A   how it is mounted: hono, express or node (default hono)
  --existing    wrap a server that exists, with the SDK's transports in a Map, instead of its server objects
  --ledger FILE add four durable tools, ledger_*, which note in this file whatever they do`

const { values } = readFlags(usage, {
  options: {
    ...serverOptions,
    adapter: { type: 'string', default: 'hono' },
    ledger: { type: 'string' },
    existing: { type: 'boolean', default: false },
  },
})
const port = portFlag('port', values.port, usage)
const adapter = choiceFlag('adapter', values.adapter, adapters, usage)
const redisUrl = redisFlag(values.redis, usage)

try {
  const opened = await openStore(redisUrl)
  const make = () => createEverythingServer({ ledger: values.ledger })
  const mcp = durable({
    ...(values.existing
      ? { handler: createExisting(make).fetch }
      : { server: make, eras: ['2025-11-25', '2026-07-28'] }),
    ...(opened.store && { store: opened.store }),
  })
  const server = await serveMcp(mcp, { adapter, host: values.host, port })
  closeOnSignal(async () => {
    await server.close(() => mcp.close({ graceMs: 2000 }))
    await opened[Symbol.asyncDispose]()
  })
  console.log(`listening on ${server.url}`)
} catch (error) {
  fail(messageOf(error))
}
