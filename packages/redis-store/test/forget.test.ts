import { expect, test } from 'vitest'
import { monitorRedis } from '../../../test-support/index.js'
import { HOUR, keysOf, LIMITS, newCall, newSession, openStore } from './support.js'

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
  // The history is deleted, never read; what ended is taken from the list a thousand at a time.
  const names = commands.map(([name = '']) => name.toLowerCase())
  expect(names).not.toContain('xrange')
  const lists = commands
    .filter(([name]) => name?.toLowerCase() === 'zrange')
    .map((words) => words.slice(2, 4))
  expect(lists).toEqual([
    ['0', '999'],
    ['0', '999'],
    ['0', '999'],
  ])
  expect(await store.forget({ scope })).toEqual({ sessions: 0, calls: 0, entries: 0 })
})
