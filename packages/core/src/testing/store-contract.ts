import { describe } from 'vitest'
import { callContract } from './call-contract.js'
import { callFenceContract } from './call-fence-contract.js'
import { dueCallsContract } from './due-calls-contract.js'
import { historyContract } from './history-contract.js'
import { inboxContract } from './inbox-contract.js'
import { logContract } from './log-contract.js'
import { mapsContract } from './maps-contract.js'
import { membershipContract } from './membership-contract.js'
import { namesContract } from './names-contract.js'
import { ownScopeContract } from './own-scope-contract.js'
import { quotasContract } from './quotas-contract.js'
import { serversContract } from './servers-contract.js'
import { sessionContract } from './session-contract.js'
import { sessionExpiryContract } from './session-expiry-contract.js'
import { stateContract } from './state-contract.js'
import { scopesContract } from './scopes-contract.js'
import type { CreateStores } from './stores.js'
import { takeoverContract } from './takeover-contract.js'
import { valuesContract } from './values-contract.js'
import { watchContract } from './watch-contract.js'

/**
 * Declares tests, for vitest, of everything that `Store` promises. Stores of different tests must not share data. `exactSizes`: limits
 * in bytes count the data and nothing else; false for a store that keeps it in another form.
 */
export function storeContract(
  name: string,
  createStores: CreateStores,
  { exactSizes = true }: { exactSizes?: boolean } = {},
) {
  describe(`store contract: ${name}`, () => {
    describe('sessions', () => sessionContract(createStores))
    describe.concurrent('expiry of sessions', () => sessionExpiryContract(createStores))
    describe('servers', () => serversContract(createStores))
    describe('state', () => stateContract(createStores))
    describe('logs', () => logContract(createStores))
    describe('inboxes and sizes', () => inboxContract(createStores, exactSizes))
    describe('calls', () => callContract(createStores, exactSizes))
    describe('fence and end of calls', () => callFenceContract(createStores))
    describe('scopes without sessions', () => ownScopeContract(createStores))
    describe('wake-ups', () => watchContract(createStores))
    describe('membership', () => membershipContract(createStores))
    describe('takeovers', () => takeoverContract(createStores))
    describe('due calls', () => dueCallsContract(createStores))
    describe('quotas', () => quotasContract(createStores))
    describe('values', () => valuesContract(createStores))
    describe('scopes of values', () => scopesContract(createStores, exactSizes))
    describe('maps', () => mapsContract(createStores))
    describe('histories', () => historyContract(createStores))
    describe('names', () => namesContract(createStores))
  })
}
