import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Quota, QuotaStore, Turn } from '../store/quotas.js'
import { useStores, waitFor } from './stores.js'
import type { CreateStores } from './stores.js'

const MINUTE = 60_000

const newOwner = () => ({ scope: randomUUID(), callId: randomUUID() })
const quota = (most: number, windowMs?: number): Quota => ({
  name: randomUUID(),
  most,
  ...(windowMs !== undefined && { windowMs }),
})

/** How many calls are counted in a quota. */
export function quotasContract(create: CreateStores) {
  const stores = useStores(create)

  test('of calls that come at once, so many get a place as there are', async () => {
    const { store, peer } = stores
    const three = quota(3)
    const calls = Array.from({ length: 20 }, newOwner)
    const answers = await Promise.all(
      calls.map((call, n) => (n % 2 ? store : peer).takePlaces(call, [three])),
    )
    expect(answers.filter((full) => full === undefined)).toHaveLength(3)
    const refused = answers.filter((full) => full !== undefined)
    for (const full of refused)
      expect(full).toEqual({ names: [three.name], freeInMs: undefined, isQueued: false })
  })

  test('a call has one place, however often it takes it, and gives it back', async () => {
    const { store, peer } = stores
    const one = quota(1)
    const [call, other] = [newOwner(), newOwner()]
    for (const each of [store, peer, store]) expect(await each.takePlaces(call, [one])).toBeUndefined()
    expect(await peer.takePlaces(other, [one])).toBeDefined()
    await peer.releasePlaces(other, [one.name])
    expect(await peer.takePlaces(other, [one])).toBeDefined()
    await peer.releasePlaces(call, [one.name, randomUUID()])
    expect(await store.takePlaces(other, [one])).toBeUndefined()
  })

  test('a place in each quota or in none', async () => {
    const { store, peer } = stores
    const [full, free, also] = [quota(1), quota(1), quota(1)]
    await store.takePlaces(newOwner(), [full, also])
    const call = newOwner()
    const answer = await store.takePlaces(call, [free, full, also])
    expect(answer?.names).toEqual([full.name, also.name])
    expect(await peer.takePlaces(newOwner(), [free])).toBeUndefined()
    expect(await peer.takePlaces(newOwner(), [])).toBeUndefined()
  })

  test('a place of a window is free after its time, which is told', async () => {
    const { store, peer } = stores
    const brief = quota(2, 400)
    const first = newOwner()
    await store.takePlaces(first, [brief])
    await peer.takePlaces(newOwner(), [brief])
    const full = await store.takePlaces(newOwner(), [brief])
    expect(full?.names).toEqual([brief.name])
    expect(full?.freeInMs).toBeGreaterThan(0)
    expect(full?.freeInMs).toBeLessThanOrEqual(400)
    await waitFor('room', async () => (await peer.takePlaces(newOwner(), [brief])) === undefined)

    const [minute, hour, held] = [quota(1, MINUTE), quota(1, 60 * MINUTE), quota(1)]
    await store.takePlaces(newOwner(), [minute, hour, held])
    const both = await store.takePlaces(newOwner(), [minute, hour])
    expect(both?.freeInMs).toBeGreaterThan(59 * MINUTE)
    expect((await store.takePlaces(newOwner(), [minute, held]))?.freeInMs).toBeUndefined()
  })

  test('who has had a place for long is told of once, and gives it back only if it was not taken since', async () => {
    const { store, peer } = stores
    const two = quota(2)
    const [gone, back] = [newOwner(), newOwner()]
    await store.takePlaces(gone, [two])
    await store.takePlaces(back, [two])
    expect(await peer.oldPlaces(two.name, MINUTE, 10)).toEqual([])
    expect(await peer.oldPlaces(randomUUID(), 0, 10)).toEqual([])
    const told = new Map<string, number>()
    const ask = async (limit: number) => {
      for (const { callId, takenAt } of await peer.oldPlaces(two.name, 1, limit)) told.set(callId, takenAt)
    }
    await waitFor('one and then the other', async () => {
      await ask(1)
      return told.size === 2
    })
    const before = told.get(back.callId)!
    await waitFor('a later time', async () => isLater())
    await store.takePlaces(back, [two])
    await waitFor('the place that was taken again', async () => {
      await ask(10)
      return told.get(back.callId)! > before
    })
    await store.releasePlaces(back, [two.name], before)
    await store.releasePlaces(gone, [two.name], told.get(gone.callId))
    expect(await store.takePlaces(newOwner(), [two])).toBeUndefined()
    expect(await store.takePlaces(newOwner(), [two])).toBeDefined()
  })

  test('a place that was touched counts as taken then, and is not given back by that time if it is taken since', async () => {
    const { store, peer } = stores
    const [one, other, free] = [quota(1), quota(1), quota(1)]
    const call = newOwner()
    await store.takePlaces(call, [one, other])
    const before = await laterTime(peer)
    await waitFor('a later time', async () => isLater())
    const takenAt = await peer.touchPlaces(call, [one.name, other.name, free.name])
    expect(takenAt).toBeGreaterThan(before)
    await store.releasePlaces(call, [one.name, other.name], before)
    for (const full of [one, other]) expect(await store.takePlaces(newOwner(), [full])).toBeDefined()
    expect(await store.takePlaces(newOwner(), [free]), 'it has none that it had not').toBeUndefined()
    await waitFor('a later time', async () => isLater())
    await store.takePlaces(call, [one])
    await peer.releasePlaces(call, [one.name, other.name], takenAt)
    expect(await store.takePlaces(newOwner(), [one])).toBeDefined()
    expect(await store.takePlaces(newOwner(), [other])).toBeUndefined()
  })

  test('who waits has turns in the order in which they came, and nobody passes them', async () => {
    const { store, peer } = stores
    const [open, one] = [quota(5), quota(1)]
    const [running, first, second, late] = [newOwner(), newOwner(), newOwner(), newOwner()]
    expect(await store.takePlaces(running, [open], [one])).toBeUndefined()
    for (const call of [first, second, first]) {
      const waits = { names: [one.name], freeInMs: undefined, isQueued: true }
      expect(await peer.takePlaces(call, [open], [one])).toEqual(waits)
      // So that which came first does not depend on the clock of the store standing still.
      await waitFor('a later time', async () => isLater())
    }
    expect(await store.nextTurns(MINUTE, 10)).toEqual([])
    expect(await peer.waitedFor()).toEqual([one.name])
    expect(await store.releasePlaces(running, [one.name, open.name])).toBe(true)
    expect(await store.takePlaces(late, [one])).toMatchObject({ names: [one.name], isQueued: false })
    const turns = await Promise.all([store.nextTurns(MINUTE, 10), peer.nextTurns(MINUTE, 10)])
    const told = { waitedMs: expect.any(Number), toldAt: expect.any(Number), names: [one.name] }
    expect(turns.flat()).toEqual([{ ...first, ...told }])
    expect(await peer.takePlaces(first, [], [one]), 'it has its places').toBeUndefined()
    await store.leaveQueue(turns.flat()[0]!)
    await store.releasePlaces(first, [one.name])
    expect(await peer.nextTurns(MINUTE, 10)).toMatchObject([second])
    expect(await peer.releasePlaces(second, [one.name])).toBe(false)
    expect(await peer.waitedFor()).toEqual([])
    expect(await store.takePlaces(late, [one])).toBeUndefined()
  })

  // Whichever is the first by name.
  test.each([false, true])(
    'turns come in their order, whichever quota each waits for: %s',
    async (isTurned) => {
      const { store, peer } = stores
      const both = [quota(2), quota(2)].toSorted((a, b) => (a.name < b.name ? -1 : 1))
      const [own, all] = (isTurned ? both.toReversed() : both) as [Quota, Quota]
      const running = [newOwner(), newOwner()]
      for (const call of running) await store.takePlaces(call, [own, all])
      const calls = [[own, all], [all], [own, all], [all]].map((quotas) => ({ call: newOwner(), quotas }))
      for (const { call, quotas } of calls) {
        expect(await peer.takePlaces(call, [], quotas)).toMatchObject({ isQueued: true })
        await waitFor('a later time', async () => isLater())
      }
      const expected = calls.map(({ call }) => call)
      for (const call of running) await store.releasePlaces(call, [own.name, all.name])
      expect(await store.nextTurns(MINUTE, 10)).toMatchObject(expected.slice(0, 2))
      await peer.releasePlaces(expected[0]!, [own.name, all.name])
      expect(await store.nextTurns(MINUTE, 10)).toMatchObject([expected[2]])
      await peer.releasePlaces(expected[1]!, [all.name])
      expect(await store.nextTurns(MINUTE, 10)).toMatchObject([expected[3]])
    },
  )

  test('a turn that nobody takes is told again', async () => {
    const { store, peer } = stores
    const one = quota(1)
    const [running, call] = [newOwner(), newOwner()]
    await store.takePlaces(running, [one])
    await store.takePlaces(call, [], [one])
    await store.releasePlaces(running, [one.name])
    expect(await peer.turnOf(call)).toBe('waits')
    const [first] = await store.nextTurns(MINUTE, 10)
    expect(first).toMatchObject(call)
    expect(await peer.turnOf(call)).toMatchObject({ ...call, toldAt: first?.toldAt, names: [one.name] })
    let again: Turn | undefined
    await waitFor('again', async () => {
      ;[again] = await peer.nextTurns(20, 10)
      return again !== undefined
    })
    await store.leaveQueue(first!)
    expect(await store.turnOf(call)).toMatchObject({ toldAt: again?.toldAt })
    await store.leaveQueue(again!)
    expect(await peer.turnOf(call)).toBeUndefined()
    expect(await peer.takePlaces(newOwner(), [one]), 'its places stay its own').toBeDefined()
    await waitFor('a later time', async () => isLater())
    expect(await peer.nextTurns(0, 10)).toEqual([])
  })

  test('who has to wait anew after its turn waits for what it asks for then, and does not leave the queue by that turn', async () => {
    const { store, peer } = stores
    const [one, other] = [quota(1), quota(9)]
    const [running, call] = [newOwner(), newOwner()]
    await store.takePlaces(running, [one])
    await store.takePlaces(call, [], [one, other])
    await store.releasePlaces(running, [one.name])
    const [turn] = await store.nextTurns(MINUTE, 10)
    await peer.releasePlaces(call, [one.name], await laterTime(store))
    expect(await store.takePlaces(running, [one])).toBeUndefined()
    expect(await store.takePlaces(call, [], [one])).toMatchObject({ isQueued: true })
    await peer.leaveQueue(turn!)
    expect(await peer.turnOf(call)).toBe('waits')
    await store.releasePlaces(running, [one.name])
    expect(await peer.nextTurns(MINUTE, 10)).toMatchObject([{ ...call, names: [one.name] }])
  })

  test('who waits for one quota does not hold up others, and goes on to the next that is full', async () => {
    const { store, peer } = stores
    const [own, all] = [quota(1), quota(2)]
    const [running, waiting, other] = [newOwner(), newOwner(), newOwner()]
    await store.takePlaces(running, [own, all])
    expect(await store.takePlaces(waiting, [], [own, all])).toMatchObject({ isQueued: true })
    expect(await peer.takePlaces(other, [], [all])).toBeUndefined()
    await store.releasePlaces(running, [own.name])
    // There is one of its own now, and none of all.
    expect(await peer.nextTurns(MINUTE, 10)).toEqual([])
    await store.releasePlaces(other, [all.name])
    await waitFor('its turn', async () =>
      (await peer.nextTurns(MINUTE, 10)).some(({ callId }) => callId === waiting.callId),
    )
  })

  test('what a call does not wait for refuses it, and it takes nothing', async () => {
    const { store, peer } = stores
    const [open, one, free] = [quota(1), quota(1), quota(1)]
    await store.takePlaces(newOwner(), [open, one])
    const call = newOwner()
    expect(await peer.takePlaces(call, [open], [one, free])).toMatchObject({
      names: [open.name, one.name],
      isQueued: false,
    })
    expect(await store.takePlaces(newOwner(), [free])).toBeUndefined()
  })
}

/** Each time it is asked first, and a little later. */
function laterEachTime() {
  let since: number | undefined
  return () => {
    since ??= Date.now()
    const isOver = Date.now() > since + 2
    if (isOver) since = undefined
    return isOver
  }
}
const isLater = laterEachTime()

/** By which whatever was taken before has been taken. */
async function laterTime(store: QuotaStore) {
  await waitFor('a later time', async () => isLater())
  return store.touchPlaces(newOwner(), [])
}
