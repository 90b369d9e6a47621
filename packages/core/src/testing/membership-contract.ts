import { randomUUID } from 'node:crypto'
import { beforeEach, expect, test } from 'vitest'
import { useStores, waitFor } from './stores.js'
import type { CreateStores } from './stores.js'

/** Nodes, and what they hold. */
export function membershipContract(create: CreateStores) {
  const stores = useStores(create)
  let node: string
  beforeEach(() => {
    node = randomUUID()
  })

  const lateness = async () => (await stores.peer.listNodes()).find((beat) => beat.node === node)?.lateMs

  test('a beat makes a node known, to other nodes too', async () => {
    expect(await lateness()).toBeUndefined()
    expect(await stores.store.beat(node)).toBe(false)
    expect(await stores.store.beat(node)).toBe(true)
    expect(await lateness()).toBeLessThan(10_000)
  })

  test('a node may say something about itself, and is no other node for it', async () => {
    expect(await stores.store.beat(node, '{"host":"a"}')).toBe(false)
    expect(await stores.store.beat(node, '{"host":"b"}')).toBe(true)
    expect(await stores.store.beat(node)).toBe(true)
    expect((await stores.peer.listNodes()).filter((beat) => beat.node === node)).toHaveLength(1)
  })

  test('a node gets late until it beats again', async () => {
    await stores.store.beat(node)
    await waitFor('late', async () => ((await lateness()) ?? 0) >= 30)
    const before = (await lateness()) ?? 0
    // The store may take a while to answer.
    await waitFor('on time', async () => {
      await stores.store.beat(node)
      return ((await lateness()) ?? before) < before
    })
    expect(before).toBeLessThan(Number.POSITIVE_INFINITY)
  })

  test('a node that left is infinitely late', async () => {
    await stores.store.beat(node)
    await stores.store.leave(node)
    expect(await lateness()).toBe(Number.POSITIVE_INFINITY)
  })

  test('what a node holds can be found and is released', async () => {
    await stores.store.beat(node)
    await stores.store.hold(node, ['a', 'b'])
    await stores.store.hold(node, ['b', 'c'])
    expect((await stores.peer.heldScopes(node, 10)).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'a',
      'b',
      'c',
    ])
    expect(await stores.peer.heldScopes(node, 2)).toHaveLength(2)
    await stores.peer.release(node, ['a', 'c', 'never held'])
    expect(await stores.store.heldScopes(node, 10)).toEqual(['b'])
  })

  test('a node is declared dead only when it is late, and hears of it at its next beat', async () => {
    const { store, peer } = stores
    await store.beat(node)
    await store.hold(node, ['a', 'b'])
    expect(await peer.declareDead(node, ['a'], 60_000)).toBe(false)
    expect(await peer.heldScopes(node, 10)).toHaveLength(2)
    expect(await store.beat(node)).toBe(true)
    expect(await peer.declareDead(node, ['a', 'never held'], 0)).toBe(true)
    expect(await peer.heldScopes(node, 10)).toEqual(['b'])
    expect(await lateness()).toBe(Number.POSITIVE_INFINITY)
    expect(await peer.declareDead(node, ['b'], 60_000)).toBe(true)
    expect(await store.beat(node)).toBe(false)
    expect(await store.beat(node)).toBe(true)
    expect(await peer.declareDead('unknown', ['a'], 0)).toBe(true)
    expect((await peer.listNodes()).some((beat) => beat.node === 'unknown')).toBe(false)
  })

  test('a node is removed only when it is late and holds nothing', async () => {
    await stores.store.beat(node)
    await stores.store.hold(node, ['a'])
    expect(await stores.peer.removeNode(node, 0)).toBe(false)
    await stores.peer.release(node, ['a'])
    expect(await stores.peer.removeNode(node, 60_000)).toBe(false)
    expect(await stores.peer.removeNode(node, 0)).toBe(true)
    expect(await lateness()).toBeUndefined()
    expect(await stores.store.beat(node)).toBe(false)
  })

  test('a scope is watched while somebody watches it', async () => {
    const scope = `node:${node}`
    const isWatched = async () => stores.peer.isWatched?.(scope)
    // A store need not be able to tell.
    if (!stores.peer.isWatched) return
    expect(await isWatched()).toBe(false)
    const unwatch = await stores.store.watch(scope, () => undefined)
    expect(await isWatched()).toBe(true)
    unwatch()
    await waitFor('unwatched', async () => !(await isWatched()))
  })
}
