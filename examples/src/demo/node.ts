import { appendFileSync } from 'node:fs'
import { durable } from '@mcp-durable/core'
import { choiceFlag, closeOnSignal, fail, messageOf, portFlag, readFlags, usageError } from '../cli.js'
import { serveMcp } from '../listen.js'
import { openStore } from '../store.js'
import { hosts, served } from './host.js'

const usage = `usage: node dist/demo/node.js (--redis URL | --file FILE) --ledger FILE [--port N] [--host H]
                         [--upstream URL]

A node of the demo; npm run demo starts it.

  --redis URL     what all nodes share, in Redis
  --file FILE     what all nodes share, in a file
  --ledger FILE   gets a line for each step that is really done
  --host H        what is made durable: server, handler or upstream (default server)
  --upstream URL  the server behind this node, for the host upstream
  --port N        port to listen on; 0 takes a free one (default 0)`

const { values } = readFlags(usage, {
  options: {
    port: { type: 'string', default: '0' },
    redis: { type: 'string' },
    file: { type: 'string' },
    ledger: { type: 'string' },
    host: { type: 'string', default: 'server' },
    upstream: { type: 'string', default: '' },
  },
})
const ledger = values.ledger ?? usageError('give a --ledger FILE', usage)
const host = choiceFlag('host', values.host, hosts, usage)
const nodeName = `pid ${process.pid}`

try {
  const opened = await openStore(values, usage)
  if (!opened.store) usageError('give a --redis URL or a --file FILE', usage)
  const note = (step: string): void => appendFileSync(ledger, `${step}\t${nodeName}\n`)
  const mcp = durable({
    ...served(host, values.upstream, nodeName, note),
    store: opened.store,
  })
  const port = portFlag('port', values.port, usage)
  const server = await serveMcp(mcp, { adapter: 'hono', host: '127.0.0.1', port })
  closeOnSignal(async () => {
    await server.close(() => mcp.close({ graceMs: 2000 }))
    await opened[Symbol.asyncDispose]()
  })
  console.log(`listening on ${server.url}`)
} catch (error) {
  fail(messageOf(error))
}
