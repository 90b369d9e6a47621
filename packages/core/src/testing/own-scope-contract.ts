import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { BEGINNING } from '../store/store.js'
import { ASLEEP, NOBODY } from '../store/takeover.js'
import { begin, contents, HOUR, newCall, once, open, SLOW, useStores, waitFor } from './stores.js'
import type { CreateStores } from './stores.js'

const SHORT = 250
const begins = { protocolVersion: 'a label' }

/** Scopes of no session: that of one call, and those that come to be with their first entry. */
export function ownScopeContract(create: CreateStores) {
  const stores = useStores(create)

  test('a call begins its scope, once, and any node finds it', async () => {
    const { store, peer } = stores
    const scope = randomUUID()
    const call = newCall(scope, { callId: scope, begins })
    const opened = await store.openCall(call)
    expect(opened).toMatchObject({ status: 'opened', admission: { protocolVersion: 'a label', version: 0 } })
    expect(await peer.openCall(call)).toEqual(opened)
    expect(await peer.openCall({ ...call, principal: 'bob' })).toEqual({ status: 'unknown' })
    expect(await peer.readSession(scope)).toMatchObject({
      principal: 'alice',
      protocolVersion: 'a label',
      state: [],
    })
    expect(await peer.listOpenCalls(scope)).toEqual([{ callId: scope, owner: 'node-1' }])
    expect((await store.listSessions(undefined, 1000)).ids).not.toContain(scope)
  })

  test('a principal has so many open calls of this kind, nearly, on all nodes together', async () => {
    const { store, peer } = stores
    const limited = { ...begins, maxPerPrincipal: 2 }
    const principal = randomUUID()
    const call = () => {
      const scope = randomUUID()
      return newCall(scope, { callId: scope, principal, begins: limited })
    }
    const first = call()
    const opened = await store.openCall(first)
    await store.openCall(call())
    // What is opened before the store has said that it is full may be one more.
    await store.openCall(call())
    await peer.openCall(call())
    expect(await store.openCall(call())).toEqual({ status: 'limit' })
    expect(await peer.openCall(call())).toEqual({ status: 'limit' })
    expect(await store.openCall(first)).toEqual(opened)
    expect(await store.openCall({ ...call(), principal: randomUUID() })).toMatchObject({ status: 'opened' })
    expect(await store.openCall({ ...call(), principal: undefined })).toMatchObject({ status: 'opened' })

    expect(await peer.forget({ principal })).toMatchObject({ sessions: 0 })
    await waitFor('room', async () => (await store.openCall(call())).status === 'opened')
  })

  test('a call that has ended makes room', async () => {
    const { store } = stores
    const principal = randomUUID()
    const next = () => {
      const scope = randomUUID()
      return newCall(scope, { callId: scope, principal, begins: { ...begins, maxPerPrincipal: 1 } })
    }
    const opened = await Promise.all(
      [next(), next()].map(async (call) => [call, await store.openCall(call)] as const),
    )
    expect((await store.openCall(next())).status).toBe('limit')
    for (const [{ scope, requestKeys }, call] of opened) {
      if (call.status !== 'opened') continue
      const entry = { id: `${Number.parseInt(call.id, 10)}-2`, data: 'response' }
      await store.appendCall(scope, scope, [entry], { requestKeys, retainMs: HOUR, endsScope: true })
    }
    await waitFor('room', async () => (await store.openCall(next())).status === 'opened')
  })

  const twoOf = (principal: string) => () => {
    const scope = randomUUID()
    const limited = { ...begins, maxPerPrincipal: 2 }
    return newCall(scope, { callId: scope, principal, begins: limited })
  }

  test('a parked call that has gone by its expiry takes no place', async () => {
    const { store, peer } = stores
    const next = twoOf(randomUUID())
    for (const { scope, ...call } of [next(), next()]) {
      await open(store, scope, call)
      await store.claimCall(scope, scope, { from: 'node-1', to: NOBODY, data: 'parked', ttlMs: SHORT })
      await waitFor('expired', async () => (await store.readSession(scope)) === undefined)
    }
    for (let more = 0; more < 2; more++)
      expect(await peer.openCall(next())).toMatchObject({ status: 'opened' })
    // It may be one more until the store has said that it is full.
    await peer.openCall(next())
    expect(await peer.openCall(next())).toEqual({ status: 'limit' })
  })

  test('the same request again takes no place when its call has ended', async () => {
    const { store } = stores
    const next = twoOf(randomUUID())
    for (const { scope, ...call } of [next(), next()]) {
      const { epoch, requestKeys } = await open(store, scope, call)
      const close = { requestKeys, retainMs: HOUR, endsScope: true, keepKey: true }
      await store.appendCall(scope, scope, [{ id: `${epoch}-2`, data: 'response' }], close)
      const again = { ...call, scope, callId: randomUUID(), requestKeys }
      expect(await store.openCall(again)).toMatchObject({ status: 'attached', callId: scope })
    }
    for (let more = 0; more < 2; more++)
      expect(await store.openCall(next())).toMatchObject({ status: 'opened' })
  })

  test(
    'a call that is to last long is not cut short by who keeps it alive, or sends it again',
    SLOW,
    async () => {
      const { store, peer } = stores
      const begun = (scope: string) => newCall(scope, { callId: scope, begins, ttlMs: SHORT })
      const [kept, lost] = [randomUUID(), randomUUID()]
      await store.openCall(begun(kept))
      const parked = { from: 'node-1', to: ASLEEP, data: 'parked', ttlMs: HOUR }
      expect(await store.claimCall(kept, kept, parked)).toBeDefined()
      await peer.keepAlive(kept, [kept], SHORT)
      const [request] = (await peer.read(kept, `call:${kept}`, BEGINNING, 1)) ?? []
      expect(await peer.openCall(begun(kept))).toMatchObject({ status: 'opened', id: request?.id })
      await store.openCall(begun(lost))
      await waitFor('expired', async () => (await peer.readSession(lost)) === undefined)
      expect(await peer.listOpenCalls(kept)).toEqual([{ callId: kept, owner: ASLEEP }])
      expect(await contents(peer, kept, `call:${kept}`)).toEqual(['request', 'parked'])
      expect(await peer.claimCall(kept, kept, { from: ASLEEP, to: 'b', data: 'claim' })).toBeDefined()
    },
  )

  test('a call that is kept alive is no session', async () => {
    const { store, peer } = stores
    const scope = randomUUID()
    await open(store, scope, { callId: scope, begins })
    await peer.keepAlive(scope, [scope], 2 * HOUR)
    // What is listed in the background comes before what follows it.
    const session = await begin(peer)
    await waitFor('listed', async () => (await store.listSessions(undefined, 1000)).ids.includes(session))
    expect((await store.listSessions(undefined, 1000)).ids).toEqual([session])
    expect(await store.listOpenCalls(scope)).toHaveLength(1)
  })

  test('a scope belongs to the server that began it', async () => {
    const { store, peer } = stores
    const scope = randomUUID()
    await open(store, scope, { callId: scope, begins, server: 'shop' })
    expect(await peer.readSession(scope)).toMatchObject({ server: 'shop' })
    expect(await peer.admit(scope, 'alice', HOUR, 'other')).toBeUndefined()
  })

  test('a scope goes with the journal of its call', async () => {
    const { store, peer } = stores
    const scope = randomUUID()
    const { epoch, requestKeys, log } = await open(store, scope, { callId: scope, begins })
    const close = { requestKeys, retainMs: SHORT, endsScope: true }
    const entry = { id: `${epoch}-2`, data: 'response' }
    expect(await store.appendCall(scope, scope, [entry], close)).toBe('appended')
    expect(await contents(peer, scope, log)).toEqual(['request', 'response'])
    await waitFor('expired', async () => (await peer.readSession(scope)) === undefined)
    expect(await peer.read(scope, log, BEGINNING, 10)).toEqual([])
  })

  test('the first entry of a log begins its scope, if it may, and each keeps it', async () => {
    const { store, peer } = stores
    const scope = randomUUID()
    expect(await store.append(scope, 'out', 'lost', once())).toBeUndefined()
    const first = await store.append(scope, 'out', 'first', { ...once(), begins: { ttlMs: HOUR } })
    expect(first).toMatch(/^\d+-\d+$/)
    await peer.append(scope, 'out', 'second', { ...once(), begins: { ttlMs: SHORT } })
    expect(await contents(peer, scope, 'out')).toEqual(['first', 'second'])
    await waitFor('expired', async () => (await contents(store, scope, 'out'))?.length === 0)
  })
}
