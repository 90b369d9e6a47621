import { durable } from '@mcp-durable/core'
import {
  closeOnSignal,
  fail,
  messageOf,
  portFlag,
  readFlags,
  redisFlag,
  serverOptions,
  serverUsage,
  urlFlag,
  usageError,
} from './cli.js'
import { serveMcp } from './listen.js'
import { openStore } from './store.js'

const usage = `usage: node dist/proxy.js --upstream URL [--port N] [--host HOST] [--redis URL]

Makes a server durable that runs elsewhere, in whatever language, at /mcp.

  --upstream URL  the MCP endpoint of the server
${serverUsage}`

const { values } = readFlags(usage, { options: { ...serverOptions, upstream: { type: 'string' } } })
const given = values.upstream ?? usageError('give an --upstream URL', usage)
const upstream = urlFlag('upstream', given, ['http:', 'https:'], usage)

try {
  const opened = await openStore(redisFlag(values.redis, usage))
  const mcp = durable({ upstream, ...(opened.store && { store: opened.store }) })
  const port = portFlag('port', values.port, usage)
  const server = await serveMcp(mcp, { adapter: 'node', host: values.host, port })
  closeOnSignal(async () => {
    await server.close(() => mcp.close({ graceMs: 2000 }))
    await opened[Symbol.asyncDispose]()
  })
  console.log(`listening on ${server.url}`)
} catch (error) {
  fail(messageOf(error))
}
