// For authors of a store: its whole contract, as tests
export { storeContract } from './store-contract.js'
export type { CreateStores, StorePair } from './stores.js'
