import { appendFileSync } from 'node:fs'
import { durable } from '@mcp-durable/core'
import { closeOnSignal, fail, messageOf, portFlag, readFlags, redisFlag, usageError } from '../cli.js'
import { serveMcp } from '../listen.js'
import { openStore } from '../store.js'
import { createDemoServer } from './demo-server.js'

const usage = `usage: node dist/demo/node.js --redis URL --ledger FILE [--port N]

A node of the demo; npm run demo starts it.

  --redis URL     what all nodes share
  --ledger FILE   gets a line for each step that is really done
  --port N        port to listen on; 0 takes a free one (default 0)`

const { values } = readFlags(usage, {
  options: { port: { type: 'string', default: '0' }, redis: { type: 'string' }, ledger: { type: 'string' } },
})
const file = values.ledger ?? usageError('give a --ledger FILE', usage)
const nodeName = `pid ${process.pid}`

try {
  const opened = await openStore(redisFlag(values.redis, usage) ?? usageError('give a --redis URL', usage))
  const note = (step: string): void => appendFileSync(file, `${step}\t${nodeName}\n`)
  const mcp = durable({
    server: () => createDemoServer(nodeName, note),
    ...(opened.store && { store: opened.store }),
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
