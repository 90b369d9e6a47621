import { durable, type Durable } from '@mcp-durable/core'
import type { ServerEventBus } from '@modelcontextprotocol/server'
import {
  choiceFlag,
  closeOnSignal,
  fail,
  messageOf,
  portFlag,
  readFlags,
  serverOptions,
  serverUsage,
} from './cli.js'
import { createEverythingServer } from './everything-server.js'
import { createExisting } from './existing-server.js'
import { createSessionless } from './sessionless-server.js'
import { adapters, serveMcp } from './listen.js'
import { openStore } from './store.js'

const usage = `usage: node dist/everything.js [--port N] [--host HOST] [--redis URL | --file FILE] [--adapter hono|express|node]
                               [--ledger FILE] [--existing] [--sessionless]

A server with every fixture of the official conformance suites, made durable, at /mcp.

${serverUsage}
  --adapter A   how it is mounted: hono, express or node (default hono)
  --existing    wrap a server that exists, with the SDK's transports in a Map, instead of its server objects
  --sessionless wrap a server of SDK 2.x that needs no sessions
  --ledger FILE add four durable tools, ledger_*, which note in this file whatever they do`

const { values } = readFlags(usage, {
  options: {
    ...serverOptions,
    adapter: { type: 'string', default: 'hono' },
    ledger: { type: 'string' },
    existing: { type: 'boolean', default: false },
    sessionless: { type: 'boolean', default: false },
  },
})
const port = portFlag('port', values.port, usage)
const adapter = choiceFlag('adapter', values.adapter, adapters, usage)

try {
  const opened = await openStore(values, usage)
  const make = () => createEverythingServer({ ledger: values.ledger })
  const mcp: Durable = durable({
    ...(values.sessionless
      ? { handler: createSessionless(toAllNodes(() => mcp)).fetch }
      : values.existing
        ? { handler: createExisting(make).fetch }
        : { server: make }),
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

/** For a server of SDK 2.x in front of which `mcp` stands: what it tells of changes is heard by clients on whichever node. */
function toAllNodes(mcp: () => Durable): ServerEventBus {
  return {
    publish: (event) => {
      const { changed } = mcp()
      const told = {
        tools_list_changed: () => changed.tools(),
        prompts_list_changed: () => changed.prompts(),
        resources_list_changed: () => changed.resources(),
        resource_updated: () => ('uri' in event ? changed.resource(event.uri) : undefined),
      }[event.kind]()
      told?.catch(() => undefined)
    },
    // The one in front tells its clients.
    subscribe: () => () => undefined,
  }
}
