import { mcp } from './mcp.ts'

const server = Bun.serve({
  hostname: '127.0.0.1',
  port: process.env.PORT ?? 3000,
  idleTimeout: 0, // else Bun ends a stream that says nothing for 10 s
  routes: { '/mcp': (request) => mcp.fetch(request) },
})
console.log(`listening on ${server.url.origin}`)

process.once('SIGTERM', () => {
  void server.stop()
  void mcp.close().then(() => process.exit())
})
