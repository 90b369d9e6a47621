import { durableTool } from '@mcp-durable/core'
import { telemetry } from '@mcp-durable/core/telemetry'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { trace } from '@opentelemetry/api'
import { z } from 'zod'
import type { Outside } from '../examples/outside.js'
import { answer, runServer } from '../examples/run-server.js'
import { startOpenTelemetry } from './open-telemetry.js'

await runServer('telemetry', createServer, (service) => {
  const metricsPage = startOpenTelemetry(`${service}/spans`)
  return { options: { telemetry: telemetry() }, pages: { '/metrics': metricsPage } }
})

const Fetched = z.object({ text: z.string() })
const Stored = z.object({ at: z.number() })

function createServer(outside: Outside): McpServer {
  const server = new McpServer({ name: 'telemetry', version: '1.0.0' })
  server.registerTool(
    'index_page',
    { description: 'Fetches a page, counts its words, and stores that', inputSchema: { page: z.string() } },
    durableTool(async ({ page: subject }, ctx) => {
      const fetched = { schema: Fetched }
      const { text } = await ctx.atLeastOnce(
        'fetch',
        (run) => outside.ask('fetch', { subject }, run),
        fetched,
      )
      const words = countWords(text)
      const body = { subject, words }
      const { at } = await ctx.atLeastOnce('store', (run) => outside.ask('store', body, run), {
        schema: Stored,
      })
      return answer({ words, at })
    }),
  )
  return server
}

/** With a span of the application's own: it is below that of the call. */
function countWords(text: string): number {
  return trace.getTracer('example').startActiveSpan('count words', (span) => {
    const words = text.split(' ').length
    span.end()
    return words
  })
}
