import { storeContract } from '../../src/testing/store.js'
import { memoryStore } from '../../src/store/memory.js'

storeContract('[D-1] memory', () => {
  const store = memoryStore()
  return { store, peer: store }
})
