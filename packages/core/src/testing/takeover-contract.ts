import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { BEGINNING, compareIds } from '../store/store.js'
import { NOBODY } from '../store/takeover.js'
import { begin, contents, HOUR, once, open, useStores, waitFor } from './stores.js'
import type { CreateStores } from './stores.js'

const SHORT = 250

/** Which calls are open, and how one goes from a node to another. */
export function takeoverContract(create: CreateStores) {
  const stores = useStores(create)

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

  test('nobody may own a call, until one of those who claim it does', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const { callId, epoch } = await open(store, scope, { owner: 'a' })
    const park = { from: 'a', to: NOBODY, data: 'parked', counts: -1 } as const
    const parked = await store.claimCall(scope, callId, park)
    expect(await peer.claimCall(scope, callId, park)).toEqual(parked)
    expect(await peer.listOpenCalls(scope)).toEqual([{ callId, owner: NOBODY }])
    expect(await store.appendCall(scope, callId, [{ id: `${epoch}-2`, data: 'zombie' }])).toBe('fenced')
    expect(await store.claimCall(scope, callId, { from: 'a', to: 'b', data: 'of its owner' })).toBeUndefined()
    const claims = await Promise.all(
      [store, peer].map((each, i) =>
        each.claimCall(scope, callId, { from: NOBODY, to: `node ${i}`, data: `claim ${i}` }),
      ),
    )
    expect(claims.filter((claimed) => claimed !== undefined)).toMatchObject([{ claims: 0 }])
  })

  test('a claim may depend on what stands last in the inbox', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const { callId, log } = await open(store, scope, { owner: 'a' })
    const claim = { from: 'a', to: 'b', data: 'claim' }
    const answer = await peer.append(scope, `${log}:in`, 'answer', once())
    if (!answer) throw new Error('it was not appended')
    expect(await store.claimCall(scope, callId, { ...claim, inbox: BEGINNING })).toBeUndefined()
    expect(await store.claimCall(scope, callId, { ...claim, inbox: answer })).toBeDefined()
    await peer.append(scope, `${log}:in`, 'another', once())
    expect(await store.claimCall(scope, callId, { ...claim, inbox: answer })).toBeDefined()
    const other = await open(store, scope, { owner: 'a' })
    expect(await store.claimCall(scope, other.callId, { ...claim, inbox: BEGINNING })).toBeDefined()
  })

  test('a claim may say when the scope expires, and whoever claims next may keep it', async () => {
    const { store, peer } = stores
    const [kept, lost] = await Promise.all([begin(store), begin(store)])
    const calls = await Promise.all([kept, lost].map((scope) => open(store, scope, { owner: 'a' })))
    for (const { scope, callId, log } of calls) {
      await store.append(scope, `${log}:in`, 'answer', once())
      await store.claimCall(scope, callId, { from: 'a', to: NOBODY, data: 'parked', ttlMs: SHORT })
    }
    await peer.keepAlive(kept, [calls[0]!.callId], HOUR)
    await waitFor('expired', async () => (await peer.readSession(lost)) === undefined)
    expect(await peer.listOpenCalls(lost)).toEqual([])
    expect(await contents(peer, lost, calls[1]!.log)).toEqual([])
    expect(await contents(peer, lost, `${calls[1]!.log}:in`)).toEqual([])
    expect(await contents(peer, kept, calls[0]!.log)).toEqual(['request', 'parked'])
    expect(await contents(peer, kept, `${calls[0]!.log}:in`)).toEqual(['answer'])
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
}
