import { storeContract } from '../../src/testing/index.js'
import { memoryStore } from '../../src/store/memory.js'

storeContract('[D-1] memory', () => {
  const store = memoryStore()
  return { store, peer: store }
})
