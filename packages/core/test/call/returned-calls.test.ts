import { expect, test, vi } from 'vitest'
import { StoreError } from '../../src/error-classes.js'
import type { Call } from '../../src/call/call.js'
import { Claims } from '../../src/call/claims.js'
import type { Claimed } from '../../src/call/claims.js'
import { DivergedCalls } from '../../src/call/diverged-calls.js'
import { Membership } from '../../src/call/membership.js'
import { ReturnedCalls } from '../../src/call/returned-calls.js'
import { Takeovers } from '../../src/call/takeovers.js'
import { memoryStore } from '../../src/index.js'
import type { Store } from '../../src/index.js'
import { endOfTurn } from '../../src/turn.js'
import { overriding } from '../support/overriding.js'

const silent = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
}

const place = { scope: 'scope', callId: 'call' }
const open = (store: Store, { node }: Membership) =>
  store.openCall({
    ...place,
    owner: node,
    principal: undefined,
    requestKeys: ['key'],
    data: 'request {}',
    ttlMs: 60_000,
    maxOpenCalls: 1,
    begins: { protocolVersion: '2026-07-28' },
  })

test('a scope is let go when a call that was given back there is not heard of any more', async () => {
  const store = memoryStore()
  const lease = { heartbeatMs: 500, leaseMs: 10_000, sweepMs: 1000 }
  const membership = new Membership(store, lease, silent, () => undefined)
  const returned = new ReturnedCalls(store, membership, new Claims(store, membership, async () => undefined))
  await returned.giveBack(place)
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

test('a call that was given back is claimed again although the store was away when that was due', async () => {
  let away = 0
  const own = memoryStore()
  const store = overriding(own, {
    beat: async (...args) => {
      if (away-- > 0) throw new StoreError('store-unavailable', 'The store is away.')
      return own.beat(...args)
    },
  })
  const lease = { heartbeatMs: 20, leaseMs: 60, sweepMs: 1000 }
  const membership = new Membership(store, lease, silent, () => undefined)
  let claimed!: (callId: string) => void
  const isClaimed = new Promise<string>((resolve) => (claimed = resolve))
  const claims = new Claims(store, membership, async ({ callId }) => claimed(callId))
  const returned = new ReturnedCalls(store, membership, claims)
  await open(own, membership)
  away = 3
  await returned.giveBack(place)
  await expect(isClaimed).resolves.toBe('call')
  expect(away).toBeLessThan(0)
  membership.background.end()
  await own.close()
})

test('a node that has just started is offered what others have given back before', async () => {
  const store = memoryStore()
  const lease = { heartbeatMs: 50, leaseMs: 10_000, sweepMs: 10_000 }
  const started = (onClaimed: (claimed: Claimed) => void) => {
    const membership = new Membership(store, lease, silent, () => undefined)
    const takeovers = new Takeovers(store, membership, silent, async (claimed) => onClaimed(claimed))
    membership.start()
    takeovers.start()
    return { membership, takeovers }
  }
  const first = started(() => expect.unreachable('it does not try again for long'))
  await open(store, first.membership)
  for (let tries = 0; tries < 6; tries++) await first.takeovers.giveBack(place)
  await endOfTurn()
  const second = await new Promise<Membership>((resolve) => {
    const { membership } = started(() => resolve(membership))
  })
  await expect(store.listOpenCalls('scope')).resolves.toMatchObject([{ owner: second.node }])
  for (const { background } of [first.membership, second]) background.end()
  await store.close()
})

test('what diverges on a node that lets go of its calls is not kept by it', () => {
  const store = memoryStore()
  const lease = { heartbeatMs: 500, leaseMs: 10_000, sweepMs: 1000 }
  const membership = new Membership(store, lease, silent, () => undefined)
  const handedOn: string[] = []
  const handOn = async ({ callId }: { callId: string }) => void handedOn.push(callId)
  const claims = new Claims(store, membership, async () => undefined)
  const diverged = new DivergedCalls(store, membership, claims, handOn)
  const abandoned: string[] = []
  const call = (id: string) =>
    ({ id, scope: id, whenRetried: () => undefined, abandon: () => abandoned.push(id) }) as unknown as Call
  diverged.park(call('before'), [], false)
  expect(abandoned).toEqual([])
  diverged.letGo({ atOnce: true })
  diverged.park(call('after'), [], false)
  expect(abandoned).toEqual(['before', 'after'])
  expect(handedOn).toEqual(['before', 'after'])
  membership.background.end()
  void store.close()
})
