import { randomBytes } from 'node:crypto'
import { storeContract } from '../../src/testing/store.js'
import { memoryStore } from '../../src/store/memory.js'
import { sealedStore } from '../../src/seal/sealed-store.js'

storeContract(
  '[D-1] memory, sealed',
  () => {
    const store = sealedStore(memoryStore(), { keys: [randomBytes(32)] })
    return { store, peer: store }
  },
  { exactSizes: false },
)
