import { createAdaptorServer } from '@hono/node-server'
import { closeOnSignal, fail, messageOf, portFlag, readFlags } from './cli.js'
import { createDemoServer } from './demo/demo-server.js'
import { createExisting } from './existing-server.js'
import { createSessionless } from './sessionless-server.js'
import { listen, type HttpServer } from './listen.js'

const usage = `usage: node dist/existing.js [--port N] [--host HOST] [--sessionless]

A server with every fixture of the official conformance suites, not made durable, at /mcp: what stands behind a proxy.

  --port N      port to listen on; 0 takes a free one (default 3000)
  --host HOST   address to bind (default 127.0.0.1)
  --sessionless a server of SDK 2.x that needs no sessions`

const { values } = readFlags(usage, {
  options: {
    port: { type: 'string', default: '3000' },
    host: { type: 'string', default: '127.0.0.1' },
    sessionless: { type: 'boolean', default: false },
  },
})

try {
  const { fetch } = values.sessionless
    ? createSessionless()
    : createExisting(() => createDemoServer(`pid ${process.pid}`, () => undefined))
  const http = createAdaptorServer({ fetch: async (request) => fetch(request) }) as HttpServer
  const server = await listen(http, values.host, portFlag('port', values.port, usage))
  closeOnSignal(() => server.close())
  console.log(`listening on ${server.url}`)
} catch (error) {
  fail(messageOf(error))
}
