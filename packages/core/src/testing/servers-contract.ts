import { expect, test } from 'vitest'
import {
  begin,
  contents,
  HOUR,
  NAMES,
  newCall,
  newSession,
  NO_LIMIT,
  once,
  open,
  useStores,
  waitFor,
} from './stores.js'
import type { CreateStores } from './stores.js'

export function serversContract(create: CreateStores) {
  const stores = useStores(create)

  test('a session is unknown to other servers, and nothing of it changes for them', async () => {
    const { store, peer } = stores
    const scope = await begin(store, { server: 'shop' })
    const call = await open(store, scope, { server: 'shop' })
    const before = await peer.readSession(scope)
    for (const server of ['admin', '', 'Shop', 'shop ', '-', '=shop']) {
      expect(await peer.admit(scope, 'alice', HOUR, server)).toBeUndefined()
      expect(await peer.openCall(newCall(scope, { server }))).toEqual({ status: 'unknown' })
      const same = newCall(scope, { server, requestKeys: call.requestKeys })
      expect(await peer.openCall(same), 'not even joined').toEqual({ status: 'unknown' })
      expect(await peer.append(scope, 'out', 'message', { ...once(), server })).toBeUndefined()
      expect(await peer.deleteSession(scope, 'alice', server)).toBe(false)
    }
    expect(await store.readSession(scope)).toEqual(before)
    expect(await store.listOpenCalls(scope)).toHaveLength(1)
    expect(await contents(store, scope, 'out')).toEqual([])
    const closing = { requestKeys: call.requestKeys, retainMs: HOUR, unlessJoined: true }
    const entry = { id: `${call.epoch}-2`, data: 'end' }
    expect(await store.appendCall(scope, call.callId, [entry], closing)).toBe('appended')
  })

  test('whoever else asks for it does not keep it alive', async () => {
    const { store, peer } = stores
    const scope = await begin(store, { server: 'shop', ttlMs: 300 })
    await peer.admit(scope, 'alice', HOUR, 'admin')
    await peer.openCall(newCall(scope, { server: 'admin' }))
    await waitFor('its expiry', async () => (await store.readSession(scope)) === undefined)
  })

  test('its own server, and whoever does not say which it is, may use it', async () => {
    const { store, peer } = stores
    for (const server of ['shop', undefined]) {
      const scope = await begin(store, { server: 'shop' })
      expect(await peer.admit(scope, 'alice', HOUR, server)).toBeDefined()
      expect((await peer.openCall(newCall(scope, { server }))).status).toBe('opened')
      expect(await peer.append(scope, 'out', 'message', { ...once(), server })).toBeDefined()
      expect(await peer.deleteSession(scope, 'alice', server)).toBe(true)
    }
  })

  test('only of its principal', async () => {
    const { store } = stores
    const scope = await begin(store, { server: 'shop' })
    expect(await store.admit(scope, 'bob', HOUR, 'shop')).toBeUndefined()
    const call = newCall(scope, { principal: 'bob', server: 'shop' })
    expect(await store.openCall(call)).toEqual({ status: 'unknown' })
    expect(await store.deleteSession(scope, 'bob', 'shop')).toBe(false)
  })

  test('a session of no server is any', async () => {
    const { store, peer } = stores
    for (const server of ['shop', '', undefined]) {
      const scope = await begin(store)
      expect((await peer.readSession(scope))?.server).toBeUndefined()
      expect(await peer.admit(scope, 'alice', HOUR, server)).toBeDefined()
      expect((await peer.openCall(newCall(scope, { server }))).status).toBe('opened')
      expect(await peer.append(scope, 'out', 'message', { ...once(), server })).toBeDefined()
      expect(await peer.deleteSession(scope, 'alice', server)).toBe(true)
    }
  })

  test('a server may be any text', async () => {
    const { store, peer } = stores
    for (const server of ['', '-', '=', ...NAMES]) {
      const scope = await begin(store, { server })
      expect((await peer.readSession(scope))?.server).toBe(server)
      expect(await peer.admit(scope, 'alice', HOUR, server)).toBeDefined()
      expect(await peer.admit(scope, 'alice', HOUR, `${server}.`)).toBeUndefined()
    }
  })

  test('the one that created a session stays', async () => {
    const { store } = stores
    const session = newSession({ server: 'shop' })
    await store.createSession(session, NO_LIMIT)
    await store.createSession({ ...session, server: 'admin' }, NO_LIMIT)
    expect((await store.readSession(session.id))?.server).toBe('shop')
  })
}
