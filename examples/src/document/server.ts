import { durableTool } from '@mcp-durable/core'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import type { Outside } from '../examples/outside.js'
import { answer, runServer } from '../examples/run-server.js'
import { recognise, translate, type Page } from './pages.js'

const request = z.object({
  document: z.string(),
  pages: z.number().int().min(1).max(9),
  language: z.string(),
})

await runServer('document', createServer)

function createServer(outside: Outside): McpServer {
  const server = new McpServer({ name: 'document', version: '1.0.0' })
  server.registerTool(
    'process_document',
    { description: 'Scans, reads, translates and stores a document', inputSchema: request.shape },
    durableTool(async ({ document, pages: count, language }: z.infer<typeof request>, ctx) => {
      // Scanning and storing are free and know keys: at least once. Reading and translating cost money: at most once.
      const scan = { subject: document, pages: count }
      const { images } = await ctx.atLeastOnce('scan', (run) =>
        outside.ask<{ images: string[] }>('scan', scan, run),
      )
      await ctx.progress(1, 4, `${images.length} pages`)

      // Pages side by side: steps are known by name and key, never by their order.
      const read = await Promise.all(
        images.map((image, page) => recognise(outside, ctx, document, { image, page })),
      )
      await ctx.progress(2, 4, 'read')
      const pages: Page[] = []
      for (const [page, text] of read.entries()) {
        pages.push(await translate(outside, ctx, document, { text, page, language }))
      }
      await ctx.progress(3, 4, 'translated')

      const texts = pages.map(({ text }) => text)
      const { stored } = await ctx.atLeastOnce('store', (run) =>
        outside.ask<{ stored: number }>('store', { subject: document, pages: texts }, run),
      )
      await ctx.progress(4, 4, 'stored')
      return answer({ stored, pages })
    }),
  )
  return server
}
