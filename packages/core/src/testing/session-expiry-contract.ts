import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { BEGINNING } from '../store/store.js'
import {
  begin,
  contents,
  waitFor,
  HOUR,
  keepDoing,
  newCall,
  once,
  open,
  shareStores,
  SLOW,
} from './stores.js'
import type { CreateStores } from './stores.js'

const SHORT = 250
const KEPT = 1000

/** They wait for times to pass, and do so side by side. */
export function sessionExpiryContract(create: CreateStores) {
  const stores = shareStores(create)
  const gone = (scope: string) => async () => (await stores.store.readSession(scope)) === undefined

  test('a session expires, with all that belongs to it', SLOW, async () => {
    const { store, peer } = stores
    const scope = await begin(store, { ttlMs: SHORT })
    await store.append(scope, 'out', 'message', once())
    const call = await open(store, scope, { ttlMs: SHORT })
    await waitFor('expired', gone(scope))
    expect(await peer.admit(scope, 'alice', HOUR)).toBeUndefined()
    expect(await peer.read(scope, 'out', BEGINNING, 10)).toEqual([])
    expect(await peer.readState(scope, 0)).toEqual([])
    const late = { key: 'k', data: 'late', nonce: 'n' }
    expect(await peer.putState(scope, late, { maxKeys: 9 })).toBe('unknown')
    expect(await peer.append(scope, 'out', 'late', once())).toBeUndefined()
    expect(await peer.appendCall(scope, call.callId, [{ id: `${call.epoch}-2`, data: 'late' }])).toBe('gone')
    expect(await peer.openCall({ ...call, ttlMs: HOUR })).toEqual({ status: 'unknown' })
    expect(await peer.deleteSession(scope, 'alice')).toBe(false)
    expect(await peer.readSession(scope)).toBeUndefined()
  })

  test('a session and what is left of its calls may be kept for as long as a number can say', async () => {
    const { store, peer } = stores
    const ttlMs = Number.MAX_SAFE_INTEGER
    const scope = await begin(store, { ttlMs })
    const { callId, epoch, requestKeys } = await open(store, scope, { ttlMs })
    const entries = [{ id: `${epoch}-2`, data: 'end' }]
    const close = { requestKeys, retainMs: ttlMs, keepKey: true }
    expect(await peer.appendCall(scope, callId, entries, close)).toBe('appended')
    expect(await peer.admit(scope, 'alice', ttlMs)).toBeDefined()
    expect(await peer.read(scope, `call:${callId}`, BEGINNING, 10)).toHaveLength(2)
  })

  test('an open call ends with its session, however late it was opened or kept alive', async () => {
    const { store, peer } = stores
    const scope = await begin(store, { ttlMs: 2 * KEPT })
    const kept = await open(store, scope, { ttlMs: 2 * KEPT })
    // So soon a store may leave the expiry of the session where it is.
    await sleep(KEPT / 20)
    const opened = await open(peer, scope, { ttlMs: 2 * KEPT })
    await peer.keepAlive(scope, [kept.callId], 2 * KEPT)
    await waitFor('expired', gone(scope))
    const late = [kept, opened].map(({ callId, epoch }) => ({
      callId,
      id: `${epoch}-2`,
      data: 'late',
    }))
    for (const { callId, id, data } of late) {
      expect(await store.appendQuietly(scope, callId, [{ id, data }])).toBe('gone')
      expect(await peer.appendCall(scope, callId, [{ id, data }])).toBe('gone')
      expect(await store.claimCall(scope, callId, { from: 'node-1', to: 'node-2', data })).toBeUndefined()
    }
  })

  test.each(['admit', 'keepAlive', 'openCall'] as const)(
    '%s slides the expiry, of the logs too',
    SLOW,
    async (operation) => {
      const { store, peer } = stores
      const scope = await begin(store, { ttlMs: KEPT })
      await store.append(scope, 'out', 'message', once())
      const slide = {
        admit: () => peer.admit(scope, 'alice', KEPT),
        keepAlive: () => peer.keepAlive(scope, [], KEPT),
        openCall: () => open(peer, scope, { ttlMs: KEPT }),
      }[operation]
      await keepDoing(KEPT, slide)
      expect(await store.readSession(scope)).toBeDefined()
      expect(await contents(store, scope, 'out')).toEqual(['message'])
    },
  )

  test('the new expiry may be longer or shorter', SLOW, async () => {
    const { store } = stores
    const longer = await begin(store, { ttlMs: SHORT })
    const shorter = await begin(store)
    expect(await store.admit(longer, 'alice', HOUR)).toBeDefined()
    expect(await store.admit(shorter, 'alice', SHORT)).toBeDefined()
    await waitFor('expired', gone(shorter))
    await sleep(SHORT)
    expect(await store.readSession(longer)).toBeDefined()
  })

  test('another principal does not slide it', async () => {
    const { store } = stores
    const scope = await begin(store, { ttlMs: SHORT })
    expect(await store.admit(scope, 'mallory', HOUR)).toBeUndefined()
    expect((await store.openCall(newCall(scope, { principal: 'mallory' }))).status).toBe('unknown')
    await waitFor('expired', gone(scope))
  })

  test('reading does not slide it', async () => {
    const { store } = stores
    const scope = await begin(store, { ttlMs: SHORT })
    await waitFor('expired', async () => {
      await store.readState(scope, 0)
      await store.append(scope, 'out', 'message', once())
      await contents(store, scope, 'out')
      return gone(scope)()
    })
  })

  test('keepAlive keeps the open calls it names', SLOW, async () => {
    const { store, peer } = stores
    const scope = await begin(store, { ttlMs: KEPT })
    const call = await open(store, scope, { ttlMs: KEPT })
    await store.append(scope, `${call.log}:in`, 'answer', once())
    await keepDoing(KEPT, () => peer.keepAlive(scope, [call.callId, 'unknown'], KEPT))
    expect(await contents(store, scope, call.log)).toEqual(['request'])
    expect(await contents(store, scope, `${call.log}:in`)).toEqual(['answer'])
    expect(await store.findCalls(scope, call.requestKeys[0] ?? '')).toEqual([call.callId])
  })

  test('keepAlive does not keep what was closed', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const call = await open(store, scope)
    const close = { requestKeys: call.requestKeys, retainMs: SHORT }
    await store.appendCall(scope, call.callId, [{ id: `${call.epoch}-2`, data: 'response' }], close)
    await peer.keepAlive(scope, [call.callId], HOUR)
    await waitFor('the journal expires', async () => (await contents(store, scope, call.log))?.length === 0)
  })
}
