import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { BEGINNING } from '../store/store.js'
import { contents, HOUR, newCall, once, open, useStores, waitFor } from './stores.js'
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
