// A handler of whose two steps it waits for the first one, and whose call the client cancels. `other`: and then a rejection
// that has nothing to do with it.
import { setImmediate as turn } from 'node:timers/promises'
import { durable, durableTool } from '@mcp-durable/core'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'

let begun = () => undefined as void
const hasBegun = new Promise<void>((resolve) => (begun = resolve))
let ended = () => undefined as void
const hasEnded = new Promise<void>((resolve) => (ended = resolve))

const mcp = durable({
  server: () => {
    const server = new McpServer({ name: 'stopped', version: '1.0.0' })
    const waits = durableTool(async (_args, ctx) => {
      const later = async (name: string) => {
        await ctx.sleep(name, 60_000)
        return name
      }
      const first = later('first')
      const second = later('second')
      begun()
      try {
        await first
        await second
      } finally {
        ended()
      }
      return { content: [] }
    })
    server.registerTool('waits', {}, waits)
    return server
  },
})

const post = (message: object, sessionId?: string) =>
  mcp.fetch(
    new Request('http://localhost/mcp', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...(sessionId !== undefined && { 'mcp-session-id': sessionId }),
      },
      body: JSON.stringify({ jsonrpc: '2.0', ...message }),
    }),
  )

const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } }
const initialized = await post({ id: 1, method: 'initialize', params })
const sessionId = initialized.headers.get('mcp-session-id') ?? ''
await initialized.text()
const call = await post({ id: 2, method: 'tools/call', params: { name: 'waits', arguments: {} } }, sessionId)
await hasBegun
await post({ method: 'notifications/cancelled', params: { requestId: 2 } }, sessionId)
await hasEnded
await call.body?.cancel()
for (let n = 0; n < 10; n++) await turn()
console.log('lives on')
if (process.argv[2] === 'other') void Promise.reject(new Error('of something else'))
for (let n = 0; n < 10; n++) await turn()
console.log('goes')
await mcp.close({ graceMs: 0 })
