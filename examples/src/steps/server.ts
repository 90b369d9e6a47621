import { durableTool } from '@mcp-durable/core'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import type { Outside } from '../examples/outside.js'
import { answer, runServer } from '../examples/run-server.js'

const Reservation = z.object({ shelf: z.string() })
const Booking = z.object({ tracking: z.string() })
const Notice = z.object({ sent: z.string() })

await runServer('steps', createServer)

function createServer(outside: Outside): McpServer {
  const server = new McpServer({ name: 'steps', version: '1.0.0' })
  server.registerTool(
    'fulfil_order',
    {
      description: 'Reserves the goods, books a courier for them, and tells the customer',
      inputSchema: { order: z.string() },
    },
    // Each step is repeated until it has succeeded, and no step that has succeeded is done again. The key lets the
    // service recognise a request whose answer never arrived here.
    durableTool(async ({ order: subject }, ctx) => {
      const { shelf } = await ctx.atLeastOnce('reserve', (run) => outside.ask('reserve', { subject }, run), {
        schema: Reservation,
      })
      await ctx.progress(1, 3, `reserved on shelf ${shelf}`)

      const { tracking } = await ctx.atLeastOnce(
        'book',
        (run) => outside.ask('book', { subject, shelf }, run),
        {
          schema: Booking,
        },
      )
      await ctx.progress(2, 3, `booked as ${tracking}`)

      const { sent } = await ctx.atLeastOnce(
        'notify',
        (run) => outside.ask('notify', { subject, tracking }, run),
        { schema: Notice },
      )
      await ctx.progress(3, 3, 'told the customer')
      return answer({ shelf, tracking, sent })
    }),
  )
  return server
}
