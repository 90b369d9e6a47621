import { randomUUID } from 'node:crypto'
import { beforeEach, expect, test } from 'vitest'
import { compareIds } from '../store/store.js'
import { begin, contents, open, useStores, waitFor } from './stores.js'
import type { CreateStores } from './stores.js'

/** Nodes, what they hold, and how a call goes from one to another. */
export function ownershipContract(create: CreateStores) {
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
    await stores.store.beat(node)
    expect(await lateness()).toBeLessThan(before)
  })

  test('a node that left is later than any lease', async () => {
    await stores.store.beat(node)
    await stores.store.leave(node)
    expect(await lateness()).toBeGreaterThan(24 * 60 * 60_000)
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

  test('a node is disowned only when it is late, and hears of it at its next beat', async () => {
    const { store, peer } = stores
    await store.beat(node)
    await store.hold(node, ['a', 'b'])
    expect(await peer.disown(node, ['a'], 60_000)).toBe(false)
    expect(await peer.heldScopes(node, 10)).toHaveLength(2)
    expect(await store.beat(node)).toBe(true)
    expect(await peer.disown(node, ['a', 'never held'], 0)).toBe(true)
    expect(await peer.heldScopes(node, 10)).toEqual(['b'])
    expect(await lateness()).toBeGreaterThan(24 * 60 * 60_000)
    expect(await peer.disown(node, ['b'], 60_000)).toBe(true)
    expect(await store.beat(node)).toBe(false)
    expect(await store.beat(node)).toBe(true)
    expect(await peer.disown('unknown', ['a'], 0)).toBe(true)
    expect((await peer.listNodes()).some((beat) => beat.node === 'unknown')).toBe(false)
  })

  test('a node is buried only when it is late and holds nothing', async () => {
    await stores.store.beat(node)
    await stores.store.hold(node, ['a'])
    expect(await stores.peer.bury(node, 0)).toBe(false)
    await stores.peer.release(node, ['a'])
    expect(await stores.peer.bury(node, 60_000)).toBe(false)
    expect(await stores.peer.bury(node, 0)).toBe(true)
    expect(await lateness()).toBeUndefined()
    expect(await stores.store.beat(node)).toBe(false)
  })

  test('open calls are listed with their owners until they close', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const call = await open(store, scope, { owner: 'one' })
    await open(store, scope, { owner: 'two' })
    expect(new Set((await peer.listOpenCalls(scope)).map(({ owner }) => owner))).toEqual(
      new Set(['one', 'two']),
    )
    const close = { requestKeys: call.requestKeys, retainMs: 60_000 }
    await store.appendCall(scope, call.callId, [{ id: `${call.epoch}-2`, data: 'end' }], close)
    expect((await peer.listOpenCalls(scope)).map(({ owner }) => owner)).toEqual(['two'])
    expect(await store.listOpenCalls(randomUUID())).toEqual([])
  })

  test('a claim changes the owner, raises the epoch and shuts the old owner out', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const { callId, log, epoch, id } = await open(store, scope, { owner: 'old' })
    const claimed = await peer.claimCall(scope, callId, { from: 'old', to: 'new', data: 'claim' })
    expect(compareIds(claimed?.id ?? id, id)).toBeGreaterThan(0)
    expect(Number(claimed?.id.split('-')[0])).toBeGreaterThan(epoch)
    expect(await store.appendCall(scope, callId, [{ id: `${epoch}-2`, data: 'zombie' }])).toBe('fenced')
    expect(await contents(store, scope, log)).toEqual(['request', 'claim'])
    expect(await store.listOpenCalls(scope)).toEqual([{ callId, owner: 'new' }])
  })

  test('of several claims of one call exactly one succeeds', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const { callId } = await open(store, scope, { owner: 'old' })
    const claims = await Promise.all(
      ['a', 'b', 'c', 'd'].map((to, i) =>
        (i % 2 ? store : peer).claimCall(scope, callId, { from: 'old', to, data: `claim of ${to}` }),
      ),
    )
    expect(claims.filter((id) => id !== undefined)).toHaveLength(1)
  })

  test('a claim that is sent twice is applied once', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const { callId, log } = await open(store, scope, { owner: 'old' })
    const claim = { from: 'old', to: 'new', data: 'claim' }
    const first = await store.claimCall(scope, callId, claim)
    expect(await peer.claimCall(scope, callId, claim)).toEqual(first)
    expect(await contents(store, scope, log)).toEqual(['request', 'claim'])
  })

  test('a closed or unknown call, or one of another owner, cannot be claimed', async () => {
    const { store } = stores
    const scope = await begin(store)
    const call = await open(store, scope, { owner: 'old' })
    const claim = { from: 'somebody else', to: 'new', data: 'claim' }
    expect(await store.claimCall(scope, call.callId, claim)).toBeUndefined()
    expect(await store.claimCall(scope, randomUUID(), { ...claim, from: 'old' })).toBeUndefined()
    const close = { requestKeys: call.requestKeys, retainMs: 60_000 }
    await store.appendCall(scope, call.callId, [{ id: `${call.epoch}-2`, data: 'end' }], close)
    expect(await store.claimCall(scope, call.callId, { ...claim, from: 'old' })).toBeUndefined()
  })

  test('claims are counted while the call is open; one that is given back counts against', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const call = await open(store, scope, { owner: 'a' })
    const claim = async (from: string, to: string, counts?: 1 | -1) => {
      const data = `${from} to ${to} ${randomUUID()}`
      const claimed = await peer.claimCall(scope, call.callId, { from, to, data, ...(counts && { counts }) })
      return claimed?.claims
    }
    expect(await claim('a', 'b')).toBe(1)
    expect(await claim('nobody', 'b')).toBeUndefined()
    expect(await claim('b', 'c', 1)).toBe(2)
    expect(await claim('c', 'c', -1)).toBe(1)
    expect(await claim('c', 'c')).toBe(2)
    const last = { from: 'c', to: 'd', data: 'the same' }
    expect((await store.claimCall(scope, call.callId, last))?.claims).toBe(3)
    expect((await peer.claimCall(scope, call.callId, last))?.claims).toBe(3)
    const other = await open(store, scope, { owner: 'a' })
    expect(
      (await store.claimCall(scope, other.callId, { from: 'a', to: 'a', data: 'x', counts: -1 }))?.claims,
    ).toBe(-1)
  })

  test('a claim may depend on what stands last', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const { callId, id } = await open(store, scope, { owner: 'a' })
    const given = await store.claimCall(scope, callId, { from: 'a', to: 'a', data: 'given', last: id })
    const claim = { from: 'a', to: 'b', data: 'claim' }
    expect(await peer.claimCall(scope, callId, { ...claim, last: id })).toBeUndefined()
    expect(await store.listOpenCalls(scope)).toEqual([{ callId, owner: 'a' }])
    const claimed = await peer.claimCall(scope, callId, { ...claim, last: given!.id })
    expect(compareIds(claimed!.id, given!.id)).toBeGreaterThan(0)
    expect(await peer.claimCall(scope, callId, { ...claim, last: given!.id })).toEqual(claimed)
    expect(await store.listOpenCalls(scope)).toEqual([{ callId, owner: 'b' }])
  })

  test('a claim wakes the readers of the journal', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const { callId, log } = await open(store, scope, { owner: 'old' })
    const heard: string[] = []
    const unwatch = await store.watch(scope, (topic, value) => heard.push(`${topic} ${value}`))
    const claimed = await peer.claimCall(scope, callId, { from: 'old', to: 'new', data: 'claim' })
    await waitFor('woken', async () => heard.includes(`${log} ${claimed?.id}`))
    unwatch()
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
