import { randomUUID } from 'node:crypto'
import { NOBODY } from '@mcp-durable/core/store'
import type { NewCall, OpenedCall } from '@mcp-durable/core/store'
import { redisStore } from '@mcp-durable/redis-store'
import { expect, test } from 'vitest'
import { monitorRedis, waitFor } from '../../../test-support/index.js'
import { counted, HOUR, keysOf, LIMITS, newCall, newSession, openStore } from './support.js'

test('a session with much that outlived its calls is forgotten in steps that are short', async () => {
  await using here = openStore()
  const store = here.store.open({ keeping: { keepMs: HOUR, maxEntries: 10_000 } })
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), LIMITS)
  const count = 2500
  for (let n = 0; n < count; n += 100) {
    const calls = Array.from({ length: 100 }, async () => {
      const call = newCall(scope)
      const opened = await store.openCall(call)
      const epoch = 'id' in opened ? opened.id.split('-')[0] : ''
      const close = { requestKeys: call.requestKeys, retainMs: HOUR }
      await store.appendCall(scope, call.callId, [{ id: `${epoch}-2`, data: 'response' }], close)
    })
    await Promise.all(calls)
  }
  await store.openCall(newCall(scope))

  const { host, port } = here.client.options
  await using monitor = await monitorRedis(`redis://${host}:${port}`)
  expect(await store.forget({ scope })).toEqual({ sessions: 1, calls: count + 1, entries: 2 * count + 2 })
  expect(await keysOf(here.client, here.prefix)).toEqual(
    expect.not.arrayContaining([expect.stringMatching(/:call:|:history|:ended|:state/)]),
  )
  const all = await monitor.commands(here.client)
  const commands = all
    .filter(({ source, words }) => source === 'lua' && words.some((word) => word.includes(here.prefix)))
    .map(({ words }) => words)
  // The history is deleted, never read; what ended is taken from the list a thousand at a time: the names, and then with their keys.
  const names = commands.map(([name = '']) => name.toLowerCase())
  expect(names).not.toContain('xrange')
  const lists = commands
    .filter(([name]) => name?.toLowerCase() === 'zrange')
    .map((words) => words.slice(2, 4))
  expect(lists).toEqual(Array.from({ length: 2 * 3 }, () => ['0', '999']))
  expect(await store.forget({ scope })).toEqual({ sessions: 0, calls: 0, entries: 0 })
})

/** A call that belongs to no session. */
const alone = () => {
  const scope = randomUUID()
  return newCall(scope, { callId: scope, begins: { protocolVersion: 'label' } })
}
const ending = (call: NewCall) => ({ requestKeys: call.requestKeys, retainMs: HOUR, endsScope: true })

test('the calls of a principal that belong to no session are forgotten, whatever becomes of them meanwhile', async () => {
  await using here = openStore()
  const { store, client, prefix } = here
  const calls = await Promise.all(
    Array.from({ length: 250 }, async () => {
      const call = alone()
      const opened = await store.openCall(call)
      return { call, entry: { id: 'id' in opened ? opened.id.replace(/1$/, '2') : '', data: 'response' } }
    }),
  )
  const end = ({ call, entry }: (typeof calls)[number]) =>
    store.appendCall(call.scope, call.callId, [entry], ending(call))
  await Promise.all(calls.slice(0, 150).map(end))

  const [forgotten] = await Promise.all([store.forget({ principal: 'alice' }), ...calls.slice(150).map(end)])

  expect(forgotten).toEqual({ sessions: 0, calls: 250, entries: 0 })
  const left = (await keysOf(client, prefix)).filter((key) => !key.includes(':once:'))
  expect(left.filter((key) => !key.includes(':calls:'))).toEqual([])
})

test('a call is listed under its principal without a round trip of its own', async () => {
  await using here = openStore()
  const { client, sent } = counted(here.client)
  const store = redisStore(client, { prefix: here.prefix })
  const end = async (call: NewCall, opened: OpenedCall) => {
    const entry = { id: 'id' in opened ? opened.id.replace(/1$/, '2') : '', data: 'response' }
    await store.appendCall(call.scope, call.callId, [entry], ending(call))
    await store.listNodes()
  }
  // From then on the scripts are known to the server, and the connection is there.
  const first = alone()
  await end(first, await store.openCall(first))
  await store.listNodes()
  sent.length = 0
  const call = alone()
  const opening = store.openCall(call)
  expect(sent, 'both are on their way before either is answered').toEqual(['evalsha', 'evalsha'])
  const opened = await opening
  sent.length = 0
  await end(call, opened)
  expect(sent, 'the end, the list in the background, and one more').toEqual(Array(3).fill('evalsha'))
  const anonymous = { ...alone(), principal: undefined }
  sent.length = 0
  await store.openCall(anonymous)
  expect(sent).toEqual(['evalsha'])
})

test('what names the calls of a principal lasts as long as they do', async () => {
  await using here = openStore()
  const { store, client, prefix } = here
  const call = alone()
  await store.openCall(call)
  const [open = ''] = (await keysOf(client, prefix)).filter((key) => key.includes(':calls:'))
  expect(open).not.toContain('alice')
  const until = Number(await client.zscore(open, call.scope))
  expect(until).toBeGreaterThan(Date.now() + HOUR)
  await store.keepAlive(call.scope, [call.callId], 3 * HOUR)
  await waitFor(async () => Number(await client.zscore(open, call.scope)) > until + HOUR)
  // It may be parked for longer than that.
  const parked = { from: call.owner, to: NOBODY, data: 'parked', ttlMs: 9 * HOUR }
  const claimed = await store.claimCall(call.scope, call.callId, parked)
  expect(Number(await client.zscore(open, call.scope))).toBeGreaterThan(Date.now() + 9 * HOUR)
  const entry = { id: claimed?.id.replace(/1$/, '2') ?? '', data: 'response' }
  await store.appendCall(call.scope, call.callId, [entry], ending(call))
  await waitFor(async () => (await client.zscore(open, call.scope)) === null)
  const kept = Number(await client.zscore(`${open}:ended`, call.scope))
  expect(kept).toBeGreaterThan(Date.now() + HOUR)
  expect(kept).toBeLessThan(Date.now() + 2 * HOUR)
  for (const key of [open, `${open}:ended`])
    if ((await client.exists(key)) > 0) expect(await client.pttl(key)).toBeGreaterThan(0)
})
