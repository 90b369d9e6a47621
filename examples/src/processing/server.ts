import { durableTool, type DurableContext } from '@mcp-durable/core'
import { AtMostOnceFailedBeforeCompleting } from '@mcp-durable/core/errors'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { z } from 'zod'
import { NetworkError, RefusedError, type Outside } from '../examples/outside.js'
import { answer, runServer } from '../examples/run-server.js'

const Receipt = z.object({ receipt: z.string(), amount: z.number() })
const payment = z.object({ order: z.string(), card: z.string(), amount: z.number().positive() })
type Payment = z.infer<typeof payment>

export interface Paid {
  status: 'charged' | 'rejected' | 'unavailable' | 'unknown'
  receipt?: string
}

await runServer('processing', createServer)

function createServer(outside: Outside): McpServer {
  const server = new McpServer({ name: 'processing', version: '1.0.0' })
  server.registerTool(
    'pay',
    { description: 'Charges a card, once, and mails what came of it', inputSchema: payment.shape },
    durableTool(async (order: Payment, ctx) => {
      const paid = await charge(outside, order, ctx)
      // When this step is repeated by another node, `charge` says the same again, without charging.
      const mail = { subject: order.order, text: paid.status }
      await ctx.atLeastOnce('mail', (run) => outside.ask('mail', mail, run))
      return answer(paid)
    }),
  )
  return server
}

async function charge(
  outside: Outside,
  { order, card, amount }: Payment,
  ctx: DurableContext,
): Promise<Paid> {
  try {
    const { receipt } = await ctx.atMostOnce(
      'charge the card',
      (run) => outside.ask('charge', { subject: order, card, amount }, run),
      {
        schema: Receipt,
        // It says that nothing was charged, so the step may be tried again.
        retryable: [NetworkError],
        errors: [RefusedError],
        attempts: 4,
        backoff: { initialMs: 20 },
      },
    )
    return { status: 'charged', receipt }
  } catch (error) {
    if (error instanceof RefusedError) return { status: 'rejected' }
    if (error instanceof NetworkError) return { status: 'unavailable' }
    // The node died between sending the charge and hearing of it. Somebody has to look; nothing charges again.
    if (error instanceof AtMostOnceFailedBeforeCompleting) return { status: 'unknown' }
    throw error
  }
}
