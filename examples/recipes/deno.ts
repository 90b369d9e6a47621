import process from 'node:process'
import { mcp } from './mcp.ts'

const server = Deno.serve({ hostname: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }, (request) =>
  new URL(request.url).pathname === '/mcp' ? mcp.fetch(request) : new Response(null, { status: 404 }),
)
console.log(`listening on http://127.0.0.1:${server.addr.port}`)

process.once('SIGTERM', () => {
  void server.shutdown()
  void mcp.close().then(() => process.exit())
})
