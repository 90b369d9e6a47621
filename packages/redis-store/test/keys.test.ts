import { redisStore } from '@mcp-durable/redis-store'
import { expect, test } from 'vitest'
import { waitFor } from '../../../test-support/index.js'
import { counted, HOUR, keysOf, LIMITS, newCall, newSession, once, openStore } from './support.js'

test('every key has an expiry, in every state of a session', async () => {
  await using opened = openStore()
  const { store, client, prefix } = opened
  const check = async () => {
    for (const key of await keysOf(client, prefix)) {
      const left = await client.pttl(key)
      // A tenth longer than a session, in whole ms.
      expect({ key, left, expires: left > 0 && left <= Math.ceil(1.1 * HOUR) }).toEqual({
        key,
        left,
        expires: true,
      })
    }
  }
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), LIMITS)
  await store.createSession(newSession({ principal: undefined, ttlMs: 5000 }), LIMITS)
  await check()
  await store.putState(scope, { key: 'k', data: 'd', nonce: 'n' }, { maxKeys: 9 })
  await store.append(scope, 'out', 'x', once())
  await store.append(scope, 'out', 'y', { ...once(), maxLength: 1 })
  await store.append(scope, 'call:stray:in', 'x', once())
  await check()
  const call = newCall(scope)
  const started = await store.openCall(call)
  if (started.status !== 'opened') throw new Error(started.status)
  const epoch = started.id.split('-')[0]
  await store.append(scope, `call:${call.callId}:in`, 'x', once())
  await store.appendCall(scope, call.callId, [{ id: `${epoch}-2`, data: 'x' }])
  await store.admit(scope, 'alice', HOUR)
  await store.keepAlive(scope, [call.callId], HOUR)
  await store.saveDelivered(scope, '5-5')
  await check()
  expect((await keysOf(client, prefix)).filter((key) => !key.includes(':once:'))).toHaveLength(9)
  const close = { requestKeys: call.requestKeys, retainMs: 1000 }
  await store.appendCall(scope, call.callId, [{ id: `${epoch}-3`, data: 'x' }], close)
  await check()
  await store.deleteSession(scope, 'alice')
  await check()
})

test('with a history too every key has an expiry, and all of a session is in one slot', async () => {
  await using opened = openStore()
  const { client, prefix } = opened
  const store = opened.store.open({ keeping: { keepMs: HOUR, maxEntries: 10 } })
  const { id: scope } = newSession()
  const check = async () => {
    for (const key of await keysOf(client, prefix)) {
      expect({ key, left: (await client.pttl(key)) > 0 }).toMatchObject({ left: true })
      if (key.includes('{')) expect(key).toContain(`{${scope}}`)
    }
  }
  await store.createSession(newSession({ id: scope, ttlMs: 60_000 }), LIMITS)
  await check()
  await store.openCall(newCall(scope))
  await store.append(scope, 'out', 'x', once())
  await check()
  expect(await client.pttl(`${prefix}:{${scope}}:history`)).toBeGreaterThan(60_000)
  await store.deleteSession(scope, 'alice')
  await check()
  await store.forget({ principal: 'alice' })
  const left = (await keysOf(client, prefix)).filter((key) => !key.includes(':once:'))
  expect(left).toEqual([])
})

test('what belongs to a session is in one slot, whatever its id is; principals are not readable', async () => {
  await using opened = openStore()
  const { store, client, prefix } = opened
  const ids = ['plain-id_1', '}x', '{a}b', 'ü', '', '~fX', 'a{b}c{d}', '*?[x]\n']
  for (const id of ids) {
    await store.createSession(newSession({ id, principal: 'alice@example.com' }), LIMITS)
    await store.append(id, 'out', id, once())
    await store.openCall(newCall(id, { principal: 'alice@example.com' }))
  }
  for (const id of ids) {
    expect((await store.readSession(id))?.version).toBe(1)
    expect((await store.read(id, 'out', '0-0', 10))?.map(({ data }) => data)).toEqual([id])
  }
  expect((await store.listSessions(undefined, 100)).ids.toSorted()).toEqual(ids.toSorted())
  const keys = await keysOf(client, prefix)
  expect(keys.join()).not.toContain('alice')
  const tags = new Set<string>()
  for (const key of keys) {
    if (key.includes('{')) tags.add(/^[^{]*\{([^{}]+)\}(:|$)/.exec(key)?.[1] ?? `no tag: ${key}`)
  }
  expect(tags.size).toBe(ids.length)
  expect([...tags].filter((tag) => tag.startsWith('no tag'))).toEqual([])
})

test('an idle session takes less than 2 KiB', async () => {
  await using opened = openStore()
  const { store, client, prefix } = opened
  const params = { protocolVersion: '2025-11-25', capabilities: { elicitation: {}, sampling: {}, roots: {} } }
  const data = JSON.stringify({ ...params, clientInfo: { name: 'a client with a name', version: '1.2.3' } })
  const count = 500
  for (let i = 0; i < count; i++) {
    const session = newSession({ principal: `user ${i}`, state: { key: 'initialize', data } })
    await store.createSession(session, LIMITS)
    const entry = {
      key: 'notifications/initialized',
      data: '{"method":"notifications/initialized"}',
      nonce: session.id,
    }
    await store.putState(session.id, entry, { maxKeys: 9 })
  }
  let bytes = 0
  for (const key of await keysOf(client, prefix)) {
    if (!key.includes(':once:')) bytes += Number(await client.memory('USAGE', key, 'SAMPLES', 0))
  }
  expect(bytes / count).toBeLessThan(2048)
})

test('the calls of an owner that died free their request keys and places when they expire', async () => {
  await using opened = openStore()
  const { store } = opened
  const session = newSession()
  await store.createSession(session, LIMITS)
  const limits = { maxOpenCalls: 2 }
  for (const key of ['a', 'b'])
    await store.openCall(newCall(session.id, { requestKeys: [key], ttlMs: 150, ...limits }))
  const later = newCall(session.id, { requestKeys: ['c'], ...limits })
  expect((await store.openCall(later)).status).toBe('limit')
  await store.admit(session.id, 'alice', HOUR)
  await waitFor(async () => (await store.findCalls(session.id, '')).length === 0)
  const again = newCall(session.id, { requestKeys: ['a'], ...limits })
  expect((await store.openCall(again)).status).toBe('opened')
  expect((await store.openCall(later)).status).toBe('opened')
  expect((await store.findCalls(session.id, '')).toSorted()).toEqual([again.callId, later.callId].toSorted())
})

test('keepAlive leaves the calls that it does not name to expire', async () => {
  await using opened = openStore()
  const { store } = opened
  const session = newSession()
  await store.createSession(session, LIMITS)
  const [kept, left] = [newCall(session.id, { ttlMs: 500 }), newCall(session.id, { ttlMs: 500 })]
  await Promise.all([store.openCall(kept), store.openCall(left)])
  await waitFor(async () => {
    await store.keepAlive(session.id, [kept.callId], 1500)
    return (await store.findCalls(session.id, '')).length === 1
  })
  expect(await store.findCalls(session.id, '')).toEqual([kept.callId])
})

test('an index forgets who has expired, and who was never created', async () => {
  await using opened = openStore()
  const { store, client, prefix } = opened
  for (let i = 0; i < 5; i++) await store.createSession(newSession({ ttlMs: 100 }), LIMITS)
  await waitFor(async () => {
    await store.createSession(newSession({ id: 'stays' }), LIMITS)
    return (await client.zcard(`${prefix}:sessions`)) === 1
  })
  const principals = (await keysOf(client, prefix)).filter((key) => key.includes(':principal:'))
  expect(await Promise.all(principals.map((key) => client.zcard(key)))).toEqual([1])
})

test('a session that is used longer than it was made for stays in the indexes', async () => {
  await using opened = openStore()
  const { store, client, prefix } = opened
  const session = newSession({ ttlMs: 1000 })
  await store.createSession(session, LIMITS)
  await store.admit(session.id, 'alice', HOUR)
  await waitFor(async () => Number(await client.zscore(`${prefix}:sessions`, session.id)) > Date.now() + HOUR)
  const [principal = ''] = (await keysOf(client, prefix)).filter((key) => key.includes(':principal:'))
  await waitFor(async () => Number(await client.zscore(principal, session.id)) > Date.now() + HOUR)
  expect(await client.pttl(principal)).toBeGreaterThan(HOUR)
})

test('a session goes with all its ended calls, in steps, and leaves only what is forgotten within a minute', async () => {
  await using opened = openStore()
  const { client, sent } = counted(opened.client)
  const store = redisStore(client, { prefix: opened.prefix })
  const session = newSession()
  await store.createSession(session, LIMITS)
  const end = async () => {
    const call = newCall(session.id)
    const opening = await store.openCall(call)
    if (opening.status !== 'opened') throw new Error(opening.status)
    const close = { requestKeys: call.requestKeys, retainMs: HOUR, keepKey: true }
    const entry = { id: opening.id.replace(/1$/, '2'), data: 'response' }
    await store.appendCall(session.id, call.callId, [entry], close)
  }
  for (let n = 0; n < 12; n++) await Promise.all(Array.from({ length: 100 }, end))
  sent.length = 0
  expect(await store.deleteSession(session.id, 'alice')).toBe(true)
  const steps = sent.filter((command) => command === 'evalsha').length
  expect(steps, '2400 keys by the thousand, their names before, and two indexes').toBe(2 * 3 + 2)
  const left = (await keysOf(opened.client, opened.prefix)).filter((key) => !key.includes(':once:'))
  expect(left).toEqual([])
})

test('the list of ended calls forgets those whose journals have expired, and goes with the last one', async () => {
  await using opened = openStore()
  const { store, client, prefix } = opened
  const session = newSession()
  await store.createSession(session, LIMITS)
  const end = async (retainMs: number) => {
    const call = newCall(session.id)
    const opening = await store.openCall(call)
    if (opening.status !== 'opened') throw new Error(opening.status)
    const close = { requestKeys: call.requestKeys, retainMs }
    const entry = { id: opening.id.replace(/1$/, '2'), data: 'response' }
    await store.appendCall(session.id, call.callId, [entry], close)
    return call.callId
  }
  const list = `${prefix}:{${session.id}}:ended`
  const brief = await end(50)
  await waitFor(async () => (await client.exists(`${prefix}:{${session.id}}:call:${brief}`)) === 0)
  const next = await end(200)
  expect(await client.zrange(list, '0', '-1')).toEqual([`call:${next}`])
  await waitFor(async () => (await client.exists(list)) === 0, { what: 'the list gone' })
})
