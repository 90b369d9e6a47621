import { memoryStore } from '@mcp-durable/core'
import { storeContract } from '@mcp-durable/core/testing/store'

storeContract('a store of mine', () => {
  const store = memoryStore()
  return { store, peer: store }
})
