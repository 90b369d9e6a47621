// The code of docs/tasks.md: compiled, not run
import { durableTool, taskTools } from '@mcp-durable/core'
import type { ServerFactory } from '@mcp-durable/core'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'

type Reports = {
  query: (month: string) => Promise<string[]>
  summarize: (rows: string[]) => Promise<string>
  mail: (summary: string, options: { idempotencyKey: string }) => Promise<void>
}
const info = { name: 'reports', version: '1' }

export function createMyServer(reports: Reports): ReturnType<ServerFactory> {
  const server = new McpServer(info)
  const inputSchema = { month: z.string() }
  server.registerTool(
    'report',
    { inputSchema },
    durableTool({ task: 'auto' }, async ({ month }, ctx) => {
      const rows = await ctx.atLeastOnce('query', () => reports.query(month))
      await ctx.progress(1, 3, `${rows.length} rows`)
      const summary = await ctx.atLeastOnce('summarize', () => reports.summarize(rows))
      await ctx.sleep('office hours', 8 * 3_600_000)
      await ctx.atLeastOnce('mail', ({ idempotencyKey }) => reports.mail(summary, { idempotencyKey }))
      return { content: [{ type: 'text', text: summary }] }
    }),
  )
  taskTools(server)
  return server
}

export function named(server: McpServer) {
  taskTools(server, { names: { status: 'job_status', result: 'job_result', cancel: 'job_cancel' } })
}
