// A tool whose services are given to it, so that a test can give others.
import { durableTool } from '@mcp-durable/core'
import { AtMostOnceFailedBeforeCompleting } from '@mcp-durable/core/errors'

export type Receipt = { id: string }
export type Services = {
  bank: {
    charge: (order: string) => Promise<Receipt>
    find: (order: string) => Promise<Receipt | undefined>
  }
  mail: { send: (to: string, receipt: string, key: string) => Promise<void> }
}

export const orderTool = ({ bank, mail }: Services) =>
  durableTool(async ({ item, to }: { item: string; to: string }, ctx) => {
    const order = await ctx.uuid7('order')
    const requestedSchema = { type: 'object' as const, properties: {} }
    const sure = await ctx.elicit('sure', { message: `Buy ${item}?`, requestedSchema })
    if (sure.action !== 'accept') return text('Nothing was bought.')

    const receipt = await ctx
      .atMostOnce('charge', () => bank.charge(order))
      .catch(async (error: unknown) => {
        if (!(error instanceof AtMostOnceFailedBeforeCompleting)) throw error
        // Nobody knows: ask who does.
        return ctx.atLeastOnce('look', () => bank.find(order))
      })
    if (!receipt) return text('Whether you were charged is not known yet. You will hear from us.')

    await ctx.sleep('packing', 60 * 60_000)
    await ctx.atLeastOnce('mail', ({ idempotencyKey }) => mail.send(to, receipt.id, idempotencyKey))
    return text(`${item}: ${receipt.id}`)
  })

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] })
