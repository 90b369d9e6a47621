import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { DueCall } from '../store/due-calls.js'
import { useStores } from './stores.js'
import type { CreateStores } from './stores.js'

/** Which calls are to be claimed at a time. The times are far from now: the clock of the store has no part in it. */
export function dueCallsContract(create: CreateStores) {
  const stores = useStores(create)
  const entry = (nonce = randomUUID()): DueCall => ({ scope: 'scope', callId: 'call', nonce })
  const AGAIN = 1000
  const nonces = (due: readonly DueCall[]) => due.map(({ nonce }) => nonce)

  test('calls are due when their time has come, the earliest first', async () => {
    const { store, peer } = stores
    expect(await store.takeDue(100, AGAIN, 10)).toEqual({ due: [], next: undefined })
    const [first, second, third] = [entry(), entry(), entry()]
    await store.setDue(second, 20)
    await peer.setDue(first, 10)
    await store.setDue(third, 30)
    expect(await peer.takeDue(9, AGAIN, 10)).toEqual({ due: [], next: 10 })
    expect(await peer.takeDue(20, AGAIN, 10)).toEqual({ due: [first, second], next: 30 })
    expect(await store.takeDue(20, AGAIN, 10)).toEqual({ due: [], next: 30 })
  })

  test('of those who take at the same time each gets others, and no more than it wants', async () => {
    const { store, peer } = stores
    const entries = Array.from({ length: 10 }, () => entry())
    await Promise.all(entries.map((each, i) => store.setDue(each, i)))
    const taken = await Promise.all([store, peer, store, peer].map((each) => each.takeDue(50, AGAIN, 3)))
    expect(taken.map(({ due }) => due.length).toSorted((a, b) => a - b)).toEqual([1, 3, 3, 3])
    expect(new Set(taken.flatMap(({ due }) => nonces(due)))).toEqual(new Set(nonces(entries)))
  })

  test('what was taken is due again, unless it is removed', async () => {
    const { store, peer } = stores
    const [done, lost] = [entry(), entry()]
    await store.setDue(done, 10)
    await store.setDue(lost, 10)
    expect((await store.takeDue(10, AGAIN, 10)).next).toBe(AGAIN)
    await store.removeDue([done, entry()])
    expect(await peer.takeDue(AGAIN - 1, 2 * AGAIN, 10)).toEqual({ due: [], next: AGAIN })
    expect(await peer.takeDue(AGAIN, 2 * AGAIN, 10)).toEqual({ due: [lost], next: 2 * AGAIN })
    await peer.removeDue([lost])
    expect(await store.takeDue(3 * AGAIN, 4 * AGAIN, 10)).toEqual({ due: [], next: undefined })
  })

  test('an entry may be moved, and one call have several', async () => {
    const { store } = stores
    const [moved, other] = [entry(), entry()]
    await store.setDue(moved, 10)
    await store.setDue(other, 15)
    await store.setDue(moved, 20)
    expect(await store.takeDue(15, AGAIN, 10)).toEqual({ due: [other], next: 20 })
    await store.removeDue([moved])
    expect((await store.takeDue(15, AGAIN, 10)).next).toBe(AGAIN)
  })

  test('times far away are kept as they are', async () => {
    const { store } = stores
    const far = entry()
    await store.setDue(far, Number.MAX_SAFE_INTEGER)
    expect(await store.takeDue(Date.now(), AGAIN, 10)).toEqual({ due: [], next: Number.MAX_SAFE_INTEGER })
  })
}
