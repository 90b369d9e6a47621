import { principalState } from '@mcp-durable/core'
import { expect, test } from 'vitest'
import { waitFor } from '../../../test-support/index.js'
import { cli, json, out } from './support/cli.js'
import { Demo, named, short } from './support/demo.js'

test('clear deletes a session with its open calls, and asks before', async () => {
  await using demo = await Demo.start()
  const [a, b] = demo.nodes
  const booking = await demo.book(a!)
  const other = await demo.begin(a!)
  const id = short(booking.session.storedId)

  const refused = await cli(demo.url, 'clear', id)
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain('with 1 open call? Nobody is here to ask.\n  --yes answers for you.')
  expect(await demo.store.readSession(booking.session.storedId)).toBeDefined()

  expect(await out(demo.url, 'clear', id, '--yes')).toBe('deleted 1 session with 1 open call\n')
  expect(await booking.stream.ended).toBeDefined()
  expect((await booking.session.get(named(b!))).status).toBe(404)
  expect(await demo.store.readSession(other.storedId)).toBeDefined()
})

test('clear --all deletes every session of the prefix, and no other prefix', async () => {
  await using demo = await Demo.start({ nodes: 1 })
  const [a] = demo.nodes
  for (let i = 0; i < 3; i++) await demo.begin(a!)
  await demo.client.set('other:{x}', 'stays')
  expect((await cli(demo.url, 'clear')).code).toBe(2)
  expect((await cli(demo.url, 'clear', 'x', '--all')).code).toBe(2)
  expect(await json(demo.url, 'clear', '--all', '--yes')).toEqual({
    sessions: 3,
    openCalls: 0,
    calls: 0,
    entries: 0,
  })
  await waitFor(async () => (await json<{ total: number }>(demo.url, 'sessions')).total === 0)
  expect(await demo.client.get('other:{x}')).toBe('stays')
  expect(await json(demo.url, 'clear', '--all', '--yes')).toEqual({
    sessions: 0,
    openCalls: 0,
    calls: 0,
    entries: 0,
  })
})

test('clear takes histories too: of a session that is over, of a principal, of all', async () => {
  await using demo = await Demo.start({ nodes: 1 })
  const store = demo.store.open({ keeping: { keepMs: 3_600_000, maxEntries: 100 } })
  const begin = async (id: string, principal: string) => {
    const state = { key: 'initialize', data: '{}' }
    await store.createSession(
      { id, principal, protocolVersion: '', state, ttlMs: 60_000 },
      { maxPerPrincipal: 9 },
    )
    await store.append(id, 'out', '{}', { nonce: id, maxLength: 9 })
  }
  for (const n of [1, 2, 3]) await begin(`session-${n}`, 'alice')
  await begin('session-4', 'bob')
  await begin('session-5', 'bob')
  await store.deleteSession('session-1', 'alice')
  const kept = async () => (await demo.client.keys('mcp:{*}:history')).length
  expect(await out(demo.url, 'clear', 'session-1', '--yes')).toBe(
    'deleted 0 sessions with 0 open calls, 2 entries of history\n',
  )
  expect(await kept()).toBe(4)
  await store.deleteSession('session-2', 'alice')
  expect(await out(demo.url, 'clear', '--principal', 'alice', '--yes')).toBe(
    'deleted 1 session with 0 calls, 4 entries of history\n',
  )
  expect(await kept()).toBe(2)
  await store.deleteSession('session-4', 'bob')
  const all = { sessions: 1, openCalls: 0, calls: 0, entries: 4 }
  expect(await json(demo.url, 'clear', '--all', '--yes')).toEqual(all)
  expect(await kept()).toBe(0)
  expect((await cli(demo.url, 'clear', '--all', '--principal', 'bob')).code).toBe(2)
})

test('the state of a principal is shown, and cleared with all else', async () => {
  await using demo = await Demo.start({ nodes: 0 })
  await principalState(demo.store, 'carol').set('hers')
  expect(await out(demo.url, 'state', '--principal', 'carol', '--show-payloads')).toContain('"hers"')
  expect((await cli(demo.url, 'state')).code).toBe(2)
  await out(demo.url, 'clear', '--all', '--yes')
  expect(await principalState(demo.store, 'carol').get()).toBeUndefined()
})
