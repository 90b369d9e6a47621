import { once } from 'node:events'
import { createServer } from 'node:http'
import { durableFetch } from '@mcp-durable/core/client'

// A call that may not be repeated is sent before the server is there: it never left this machine.

const server = createServer((request, response) => {
  request.resume()
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: 'answered' }))
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address()
await new Promise((resolve) => server.close(resolve))

let tries = 0
const onRetry = () => {
  if (++tries === 1) server.listen(port, '127.0.0.1')
}
const send = durableFetch({ mayRepeat: () => false, initialDelayMs: 20, onRetry })
const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'pay' } })
const headers = { 'content-type': 'application/json', 'mcp-session-id': 's' }
const response = await send(`http://127.0.0.1:${port}/mcp`, { method: 'POST', headers, body })
console.log((await response.json()).result)
process.exit()
