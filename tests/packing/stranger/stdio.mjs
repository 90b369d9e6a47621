// A server of stdio that does not care that its input has ended.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { z } from 'zod'

const server = new McpServer({ name: 'of-stdio', version: '1.0.0' })
const look = { inputSchema: { item: z.string() }, annotations: { readOnlyHint: true } }
server.registerTool('look', look, async ({ item }, { _meta, sendNotification }) => {
  const { progressToken } = _meta
  const params = { progressToken, progress: 1, message: `looked at by ${process.pid}` }
  await sendNotification({ method: 'notifications/progress', params })
  await new Promise((resolve) => setTimeout(resolve, 2000))
  return { content: [{ type: 'text', text: `${item}, seen by ${process.pid}` }] }
})
await server.connect(new StdioServerTransport())
setInterval(() => undefined, 1_000_000)
