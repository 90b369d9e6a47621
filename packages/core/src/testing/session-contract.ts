import { expect, test } from 'vitest'
import { BEGINNING } from '../store/store.js'
import {
  begin,
  contents,
  waitFor,
  HOUR,
  listen,
  newCall,
  newSession,
  NO_LIMIT,
  once,
  open,
  useStores,
} from './stores.js'
import type { CreateStores } from './stores.js'

export function sessionContract(create: CreateStores) {
  const stores = useStores(create)

  test('a new session is there at once, on every node', async () => {
    const { store, peer } = stores
    const id = await begin(store, { protocolVersion: 'näme {x}', state: { key: 'k', data: 'two\nlines' } })
    const admission = { protocolVersion: 'näme {x}', version: 1, delivered: BEGINNING, values: 0 }
    const state = [{ key: 'k', version: 1, data: 'two\nlines' }]
    expect(await peer.readSession(id)).toEqual({ ...admission, principal: 'alice', state })
    expect(await peer.admit(id, 'alice', HOUR)).toEqual(admission)
  })

  test('creating the same id again changes nothing', async () => {
    const { store, peer } = stores
    const session = newSession()
    expect(await store.createSession(session, NO_LIMIT)).toBe('created')
    await store.putState(session.id, { key: 'more', data: 'x', nonce: 'n' }, { maxKeys: 9 })
    const before = await store.readSession(session.id)
    expect(await peer.createSession(session, { maxPerPrincipal: 1 })).toBe('created')
    const other = { ...session, protocolVersion: 'other', state: { key: 'other', data: 'other' } }
    expect(await store.createSession(other, NO_LIMIT)).toBe('created')
    expect(await store.createSession({ ...other, principal: 'mallory' }, NO_LIMIT)).toBe('created')
    expect(await store.readSession(session.id)).toEqual(before)
  })

  test('only its principal is admitted', async () => {
    const { store, peer } = stores
    const id = await begin(store)
    const nobodys = await begin(store, { principal: undefined })
    for (const wrong of ['Alice', 'alice ', '', '-', 'undefined', undefined]) {
      expect(await peer.admit(id, wrong, HOUR)).toBeUndefined()
    }
    for (const wrong of ['alice', '', '-', 'undefined']) {
      expect(await peer.admit(nobodys, wrong, HOUR)).toBeUndefined()
    }
    expect(await peer.admit(id, 'alice', HOUR)).toBeDefined()
    expect(await peer.admit(nobodys, undefined, HOUR)).toBeDefined()
    expect((await peer.readSession(nobodys))?.principal).toBeUndefined()
  })

  test('a principal may be any text', async () => {
    const { store } = stores
    for (const principal of ['', '-', '=', 'a b\n{c}:', 'ünïcödé 🙂', 'x'.repeat(5000)]) {
      const id = await begin(store, { principal })
      expect((await store.readSession(id))?.principal).toBe(principal)
      expect(await store.admit(id, principal, HOUR)).toBeDefined()
    }
  })

  test('an unknown session is unknown to every operation, and nothing creates it', async () => {
    const { store } = stores
    for (const id of ['unknown', '', ' ', '}', '{a}', 'a}b{c', 'ü', '*', 'x'.repeat(3000)]) {
      expect(await store.admit(id, undefined, HOUR)).toBeUndefined()
      expect(await store.admit(id, 'alice', HOUR)).toBeUndefined()
      await store.keepAlive(id, ['c'], HOUR)
      await store.saveDelivered(id, '5-0')
      await store.publish(id, 'topic', 'value')
      expect(await store.deleteSession(id, undefined)).toBe(false)
      expect(await store.deleteSession(id, 'alice')).toBe(false)
      expect(await store.readSession(id)).toBeUndefined()
    }
    expect((await store.listSessions(undefined, 10)).ids).toEqual([])
  })

  test('at most so many live sessions of one principal', async () => {
    const { store, peer } = stores
    const limits = { maxPerPrincipal: 2 }
    const [first, second, third] = [newSession(), newSession(), newSession()]
    expect(await store.createSession(first, limits)).toBe('created')
    expect(await peer.createSession(second, limits)).toBe('created')
    expect(await store.createSession(third, limits)).toBe('limit')
    expect(await store.readSession(third.id)).toBeUndefined()
    expect((await store.listSessions(undefined, 10)).ids.toSorted()).toEqual([first.id, second.id].toSorted())

    expect(await store.createSession(first, limits), 'again is not one more').toBe('created')
    expect(await store.createSession(newSession({ principal: 'bob' }), limits)).toBe('created')
    for (let i = 0; i < 4; i++) {
      expect(await store.createSession(newSession({ principal: undefined }), limits)).toBe('created')
    }
    expect(await peer.deleteSession(second.id, 'alice')).toBe(true)
    expect(await store.createSession(third, limits)).toBe('created')
  })

  test('the limit holds when sessions are created at once', async () => {
    const { store, peer } = stores
    const attempts = Array.from({ length: 12 }, (_, i) =>
      (i % 2 ? store : peer).createSession(newSession(), { maxPerPrincipal: 5 }),
    )
    const created = (await Promise.all(attempts)).filter((result) => result === 'created')
    expect(created).toHaveLength(5)
  })

  test('to make room, the session goes that was idle for longest, if none is in use', async () => {
    const { store, peer } = stores
    const limits = { maxPerPrincipal: 3, evict: true }
    const ages = [3, 1, 2].map((n) => newSession({ ttlMs: n * HOUR }))
    for (const session of ages) expect(await store.createSession(session, limits)).toBe('created')
    const others = [
      await begin(store, { principal: 'bob', ttlMs: 60_000 }),
      await begin(store, { principal: undefined }),
    ]
    const ears = await listen(peer, ages[1]!.id)
    expect(await peer.createSession(newSession(), { maxPerPrincipal: 3 }), 'only where it is asked for').toBe(
      'limit',
    )
    ears.unwatch()
    await waitFor(
      'room when nobody listens any more',
      async () => (await peer.createSession(newSession({ ttlMs: 4 * HOUR }), limits)) === 'created',
    )
    const alive = async (ids: string[]) =>
      (await Promise.all(ids.map((id) => store.readSession(id)))).map(Boolean)
    expect(await alive(ages.map(({ id }) => id))).toEqual([true, false, true])
    expect(await alive(others)).toEqual([true, true])
  })

  test('no session that is in use goes to make room', async () => {
    const { store, peer } = stores
    const limits = { maxPerPrincipal: 2, evict: true }
    const [watched, calling] = [await begin(store, { ttlMs: HOUR }), await begin(store, { ttlMs: 2 * HOUR })]
    const ears = await listen(peer, watched)
    const call = await open(store, calling)
    expect(await store.createSession(newSession(), limits)).toBe('limit')
    const close = { requestKeys: call.requestKeys, retainMs: HOUR }
    await store.appendCall(calling, call.callId, [{ id: `${call.epoch}-2`, data: 'response' }], close)
    expect(await store.createSession(newSession(), limits)).toBe('created')
    expect(await store.readSession(watched)).toBeDefined()
    expect(await store.readSession(calling)).toBeUndefined()
    ears.unwatch()
  })

  test('of many that want room at once no more get it than there is', async () => {
    const { store, peer } = stores
    const limits = { maxPerPrincipal: 4, evict: true }
    const created = Array.from({ length: 12 }, (_, i) =>
      (i % 2 ? store : peer).createSession(newSession(), limits),
    )
    expect(new Set(await Promise.all(created))).not.toContain(undefined)
    const { ids } = await store.listSessions(undefined, 100)
    const alive = await Promise.all(ids.map((id) => store.readSession(id)))
    expect(alive.filter(Boolean).length).toBeLessThanOrEqual(4)
    expect(alive.filter(Boolean).length).toBeGreaterThan(0)
  })

  test('expired sessions do not count for the limit', async () => {
    const { store } = stores
    const limits = { maxPerPrincipal: 1 }
    expect(await store.createSession(newSession({ ttlMs: 200 }), limits)).toBe('created')
    await waitFor(
      'room for one more',
      async () => (await store.createSession(newSession(), limits)) === 'created',
    )
  })

  test('delete removes everything, for its principal only, and wakes the watchers', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    await store.append(scope, 'out', 'message', once())
    const call = await open(store, scope)
    await store.append(scope, `${call.log}:in`, 'answer', once())
    const closed = await open(store, scope)
    const close = { requestKeys: closed.requestKeys, retainMs: HOUR }
    await store.appendCall(scope, closed.callId, [{ id: `${closed.epoch}-2`, data: 'response' }], close)
    const ears = await listen(peer, scope)

    expect(await peer.deleteSession(scope, 'mallory')).toBe(false)
    expect(await peer.deleteSession(scope, undefined)).toBe(false)
    expect(await contents(store, scope, 'out')).toEqual(['message'])
    expect(ears.heard).toEqual([])

    expect(await store.deleteSession(scope, 'alice')).toBe(true)
    await waitFor('a wake-up', () => ears.heard.some(([topic]) => topic === 'deleted'))
    for (const log of ['out', call.log, `${call.log}:in`, closed.log] as const) {
      expect(await peer.read(scope, log, BEGINNING, 10)).toEqual([])
    }
    expect(await peer.read(scope, call.log, call.id, 10)).toBeUndefined()
    expect(await peer.read(scope, closed.log, closed.id, 10)).toBeUndefined()
    expect(await peer.findCalls(scope, '')).toEqual([])
    expect(await peer.readState(scope, 0)).toEqual([])
    expect(await peer.admit(scope, 'alice', HOUR)).toBeUndefined()
    expect(await peer.append(scope, 'out', 'late', once())).toBeUndefined()
    expect(await peer.appendCall(scope, call.callId, [{ id: `${call.epoch}-2`, data: 'late' }])).toBe('gone')
    expect(await peer.deleteSession(scope, 'alice')).toBe(false)
    expect((await peer.listSessions(undefined, 10)).ids).toEqual([])
  })

  test('delete leaves nothing behind that a later session of the same id could read', async () => {
    const { store, peer } = stores
    const scope = await begin(store)
    const running = await open(store, scope)
    const ended = await open(store, scope)
    const close = { requestKeys: ended.requestKeys, retainMs: HOUR, keepKey: true }
    const response = [{ id: `${ended.epoch}-2`, data: 'response' }]
    await store.appendCall(scope, ended.callId, response, close)
    const inboxes = [`${running.log}:in`, `${ended.log}:in`, 'call:nobody:in'] as const
    for (const inbox of inboxes) await store.append(scope, inbox, 'answer', once())
    await store.append(scope, 'out', 'message', once())
    await store.writeValue(scope, 'key', 0, 'value')

    expect(await peer.deleteSession(scope, 'alice')).toBe(true)
    await begin(peer, { id: scope })
    for (const log of [running.log, ended.log, ...inboxes, 'out'] as const) {
      expect(await store.read(scope, log, BEGINNING, 10), log).toEqual([])
    }
    expect(await store.readValue(scope, 'key')).toBeUndefined()
    const again = newCall(scope, { requestKeys: ended.requestKeys })
    expect((await store.openCall(again)).status).toBe('opened')
  })

  test('sessions are listed page by page', async () => {
    const { store, peer } = stores
    const principals = ['alice', 'bob', undefined]
    const created = await Promise.all(
      Array.from({ length: 23 }, (_, i) => begin(store, { principal: principals[i % 3] })),
    )
    const listed: string[] = []
    let pages = 0
    let cursor: string | undefined
    do {
      const page = await peer.listSessions(cursor, 5)
      expect(page.ids.length).toBeLessThanOrEqual(5)
      listed.push(...page.ids)
      cursor = page.cursor
      expect(++pages).toBeLessThan(10)
    } while (cursor !== undefined)
    expect(listed.toSorted()).toEqual(created.toSorted())
  })

  test('who stays while others leave and move is listed', async () => {
    const { store } = stores
    const ids = await Promise.all(Array.from({ length: 12 }, () => begin(store)))
    const [leaving, staying] = [ids.slice(0, 4), ids.slice(4)]
    const page = await store.listSessions(undefined, 3)
    for (const id of leaving) await store.deleteSession(id, 'alice')
    for (const id of staying.slice(0, 4)) await store.admit(id, 'alice', 2 * HOUR)
    const listed = new Set(page.ids)
    for (let { cursor } = page; cursor !== undefined;) {
      const next = await store.listSessions(cursor, 3)
      for (const id of next.ids) listed.add(id)
      cursor = next.cursor
    }
    expect(staying.filter((id) => !listed.has(id))).toEqual([])
  })
}
