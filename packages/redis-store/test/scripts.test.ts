import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Store } from '@mcp-durable/core'
import { redisStore } from '@mcp-durable/redis-store'
import { expect, test } from 'vitest'
import { startRedis } from '../../../test-support/index.js'
import { counted, HOUR, LIMITS, newCall, newSession, once, openStore } from './support.js'

test('the generated module is what the .lua files say', async () => {
  const generator = fileURLToPath(new URL('../src/scripts/generate.mjs', import.meta.url))
  await expect(promisify(execFile)(process.execPath, [generator, '--check'])).resolves.toBeDefined()
})

test('a server that does not know the scripts learns them', async () => {
  await using server = await startRedis()
  await using opened = openStore(server.url)
  const { store, client } = opened
  const session = newSession()
  await store.createSession(session, LIMITS)
  await client.script('FLUSH')
  const ids = await Promise.all([1, 2, 3].map((n) => store.append(session.id, 'out', String(n), once())))
  expect(new Set(ids).size).toBe(3)
})

test('every operation is one round trip', async () => {
  await using opened = openStore()
  const { client, sent } = counted(opened.client)
  const store = redisStore(client, { prefix: opened.prefix })
  const { id: scope } = newSession()
  const call = newCall(scope)
  const trips = async (operation: () => Promise<unknown>) => {
    await operation()
    // The second time, no script is new to the server.
    sent.length = 0
    await operation()
    return sent.length
  }
  const create = (principal: string | undefined) => store.createSession(newSession({ principal }), LIMITS)
  expect(await trips(() => create('alice')), 'two indexes, the session, and the confirmation').toBe(4)
  expect(await trips(() => create(undefined))).toBe(2)
  await store.createSession(newSession({ id: scope }), LIMITS)
  const opening = await store.openCall(call)
  if (opening.status !== 'opened') throw new Error(opening.status)
  const entries = [1, 2, 3].map((n) => ({ id: opening.id.replace(/1$/, String(n + 1)), data: 'x' }))
  const operations = {
    admit: () => store.admit(scope, 'alice', HOUR),
    keepAlive: () => store.keepAlive(scope, [call.callId], HOUR),
    readSession: () => store.readSession(scope),
    listSessions: () => store.listSessions(undefined, 10),
    putState: () =>
      store.putState(scope, { key: 'k', data: 'd', nonce: String(Math.random()) }, { maxKeys: 9 }),
    readState: () => store.readState(scope, 0),
    append: () => store.append(scope, 'out', 'x', once()),
    read: () => store.read(scope, 'out', '0-0', 10),
    saveDelivered: () => store.saveDelivered(scope, '1-1'),
    openCall: () => store.openCall(newCall(scope)),
    appendCall: () => store.appendCall(scope, call.callId, entries),
    publish: () => store.publish(scope, 'topic', 'value'),
    dropLog: () => store.dropLog(scope, 'out'),
  }
  for (const [name, operation] of Object.entries(operations)) {
    expect({ name, trips: await trips(operation) }).toEqual({ name, trips: 1 })
  }
  expect(await trips(() => store.findCalls(scope, '')), 'names, and then which are open').toBe(2)
  expect(await trips(() => store.findCalls(scope, 'none')), 'no names').toBe(1)
  const again = newCall(scope, { requestKeys: call.requestKeys })
  expect(await trips(() => store.openCall(again)), 'a name, and whether it is open').toBe(2)
  const other = newSession()
  await store.createSession(other, LIMITS)
  await store.deleteSession(other.id, 'alice')
  sent.length = 0
  await store.deleteSession(scope, 'alice')
  expect(sent.length, 'names, the session, and two indexes').toBe(4)
  await store.close()
})

test('quiet entries that come together are one command, and one for each call where a history is kept', async () => {
  await using opened = openStore()
  const { client, sent } = counted(opened.client)
  const store = redisStore(client, { prefix: opened.prefix })
  const keeping = store.open({ keeping: { keepMs: HOUR, maxEntries: 1000 } })
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), LIMITS)
  const calls = Array.from({ length: 50 }, () => newCall(scope))
  const openings = await Promise.all(calls.map((call) => store.openCall(call)))
  const append = (to: Store, seq: number) =>
    Promise.all(
      openings.map((opening, n) => {
        if (opening.status !== 'opened') throw new Error(opening.status)
        const ids = [seq, seq + 1].map((at) => opening.id.replace(/1$/, String(at)))
        return to.appendQuietly(
          scope,
          calls[n]!.callId,
          ids.map((id) => ({ id, data: 'x' })),
        )
      }),
    )
  // The first time, the scripts are new to the server.
  await append(store, 2)
  await append(keeping, 4)
  sent.length = 0
  expect(new Set(await append(store, 6))).toEqual(new Set(['appended']))
  expect(sent).toHaveLength(1)
  sent.length = 0
  expect(new Set(await append(keeping, 8))).toEqual(new Set(['appended']))
  expect(sent).toHaveLength(calls.length)
  await store.close()
})

test('names of ended calls that are gone do not pile up, beside one that is kept for long', async () => {
  await using opened = openStore()
  const { client, store, prefix } = opened
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), LIMITS)
  const end = async (retainMs: number) => {
    const call = newCall(scope)
    const opening = await store.openCall(call)
    if (opening.status !== 'opened') throw new Error(opening.status)
    const last = { id: opening.id.replace(/1$/, '2'), data: 'response' }
    await store.appendCall(scope, call.callId, [last], { requestKeys: call.requestKeys, retainMs })
  }
  await end(HOUR)
  const CALLS = 500
  for (let n = 0; n < CALLS; n++) await end(1)

  const list = `${prefix}:{${scope}}:ended`
  // About one call in sixteen takes them out: none of the last 300 does so once in 10^8 runs.
  expect(await client.zcard(list)).toBeLessThan(300)
  expect(await client.zcount(list, Date.now() + HOUR / 2, '+inf')).toBe(1)
  expect(await client.pttl(list)).toBeGreaterThan(HOUR / 2)
})
