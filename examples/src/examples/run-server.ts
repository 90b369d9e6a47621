import { durable, type CommonOptions } from '@mcp-durable/core'
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { closeOnSignal, fail, messageOf, portFlag, readFlags, urlFlag } from '../cli.js'
import { serveMcp, type Pages } from '../listen.js'
import { openStore } from '../store.js'
import { Outside } from './outside.js'

/** What is about a node beside its tools. */
export interface Surroundings {
  options?: Pick<CommonOptions, 'on' | 'telemetry'>
  pages?: Pages
}

/** One node of an example: everything about it that is not its tools. `surround` is told where the outside service is. */
export async function runServer(
  name: string,
  createServer: (outside: Outside) => McpServer,
  surround: (service: string) => Surroundings = () => ({}),
): Promise<void> {
  const usage = `usage: node dist/${name}/server.js [--port N] [--redis URL | --file FILE] [--service URL]

A node of the example '${name}', at /mcp. Start as many as you like on one Redis, or on one file.

  --port N        port to listen on; 0 takes a free one (default 9991)
  --redis URL     where sessions, calls and maps live
  --file FILE     where they live without a Redis; without either, in the memory of this process
  --service URL   the outside service (default http://127.0.0.1:9992)`
  const { values } = readFlags(usage, {
    options: {
      port: { type: 'string', default: '9991' },
      redis: { type: 'string' },
      file: { type: 'string' },
      service: { type: 'string', default: 'http://127.0.0.1:9992' },
    },
  })
  const port = portFlag('port', values.port, usage)
  const service = urlFlag('service', values.service, ['http:'], usage).origin
  const outside = new Outside(service)
  try {
    const opened = await openStore(values, usage)
    const { options, pages = {} } = surround(service)
    const mcp = durable({
      ...options,
      server: () => createServer(outside),
      ...(opened.store && { store: opened.store }),
    })
    const server = await serveMcp(mcp, { adapter: 'hono', host: '127.0.0.1', port, pages })
    closeOnSignal(async () => {
      await server.close(() => mcp.close({ graceMs: 2000 }))
      await opened[Symbol.asyncDispose]()
    })
    console.log(`listening on ${server.url}`)
  } catch (error) {
    fail(messageOf(error))
  }
}

/** A result that programs and people can read. */
export const answer = (value: object) => ({
  content: [{ type: 'text' as const, text: JSON.stringify(value) }],
})
