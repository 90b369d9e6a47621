// A server whose sessions see more once somebody has logged in: docs/migrating.md shows it.
import { durableTool } from '@mcp-durable/core'
import type { SessionInfo } from '@mcp-durable/core'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'

const text = (words: string) => ({ content: [{ type: 'text' as const, text: words }] })

export async function createMyServer({ state }: SessionInfo) {
  const server = new McpServer({ name: 'mine', version: '1.0.0' })
  const isIn = (await state.of('loggedIn').get()) === true
  server.registerTool(
    'login',
    {},
    durableTool(async (_args, ctx) => {
      await ctx.state.of('loggedIn').set(true)
      await ctx.notify({ method: 'notifications/tools/list_changed' })
      return text('welcome')
    }),
  )
  if (isIn) server.registerTool('secret', {}, async () => text('for those who are in'))
  return server
}
