import { expect, test, vi } from 'vitest'
import { Claims } from '../../src/call/claims.js'
import { Membership } from '../../src/call/membership.js'
import { ReturnedCalls } from '../../src/call/returned-calls.js'
import { memoryStore } from '../../src/index.js'

const silent = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
}

test('a scope is let go when a call that was given back there is not heard of any more', async () => {
  const store = memoryStore()
  const lease = { heartbeatMs: 500, leaseMs: 10_000, sweepMs: 1000 }
  const membership = new Membership(store, lease, silent, () => undefined)
  const returned = new ReturnedCalls(store, membership, new Claims(store, membership, async () => undefined))
  await returned.giveBack({ scope: 'scope', callId: 'call' })
  expect(returned.scopes).toEqual(new Set(['scope']))
  const later = performance.now() + 10 * 60_000
  const now = vi.spyOn(performance, 'now').mockReturnValue(later)
  try {
    expect(returned.scopes).toEqual(new Set())
  } finally {
    now.mockRestore()
    membership.background.end()
    await store.close()
  }
})
