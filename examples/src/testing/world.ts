import type { Effect } from '@mcp-durable/core/testing'
import { orderTool } from './order.js'
import type { Receipt } from './order.js'

/** The tool with services that exist in this test only, and say what they have done. */
export function world(effect: Effect) {
  const charged = new Map<string, Receipt>()
  return orderTool({
    bank: {
      charge: async (order) => {
        effect('charge')
        const receipt = { id: 'receipt 1' }
        charged.set(order, receipt)
        return receipt
      },
      find: async (order) => charged.get(order),
    },
    // A mail that comes with the same key is not sent again.
    mail: { send: async (_to, _receipt, key) => effect('mail', key) },
  })
}
