import { durableTool } from '@mcp-durable/core'
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'

/** Where a step leaves its mark when it is really done. It is outside of the store, and outlives the nodes. */
export type Ledger = (step: string) => void

/** What the booking promises of each of its steps. */
export const bookingSteps = [
  { step: 'hold a table', promise: 'at least once' },
  { step: 'charge the deposit', promise: 'at most once' },
  { step: 'ask for the name', promise: 'asked once' },
  { step: 'confirm', promise: 'at least once' },
] as const

/** A tool with a question in its middle: whichever node takes the call over goes on after what was done. */
export function registerBookingTool(server: McpServer, nodeName: string, ledger: Ledger): void {
  server.registerTool(
    'book_table',
    { description: 'Books a table in a restaurant', inputSchema: {} },
    durableTool(async (_args, ctx) => {
      const table = await ctx.atLeastOnce('hold a table', () => {
        ledger('hold a table')
        return 12
      })
      await ctx.atMostOnce('charge the deposit', () => ledger('charge the deposit'))
      const { content } = await ctx.elicit(
        'ask for the name',
        {
          message: 'Which name shall the table be booked under?',
          requestedSchema: {
            type: 'object',
            properties: { username: { type: 'string' } },
            required: ['username'],
          },
        },
        { schema: z.looseObject({ username: z.string() }) },
      )
      const by = await ctx.atLeastOnce('confirm', () => {
        ledger('confirm')
        return nodeName
      })
      return {
        content: [{ type: 'text', text: `table ${table} for ${content?.username}, confirmed by ${by}` }],
      }
    }),
  )
}
