import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import type { SurveyedKey } from '@mcp-durable/redis-store/inspect'
import { expect, test } from 'vitest'
import { HOUR, LIMITS, newCall, newSession, once, openStore } from './support.js'

function open() {
  const opened = openStore()
  const { client, prefix } = opened
  return { ...opened, inspect: inspectRedis(client, { prefix }) }
}

test('a session as it is: when it began, its state with times, open calls, standalone messages', async () => {
  await using opened = open()
  const { store, inspect } = opened
  const began = await inspect.nodes.clock()
  const session = newSession({ principal: 'ünï@example.com' })
  await store.createSession(session, LIMITS)
  await store.putState(session.id, { key: 'level', data: '{"lévél":1}', nonce: 'a nonce' }, { maxKeys: 9 })
  await store.append(session.id, 'out', 'x', once())
  const call = newCall(session.id, { principal: session.principal, owner: 'somebody' })
  await store.openCall(call)
  const ended = await inspect.nodes.clock()

  const read = await inspect.sessions.read(session.id)
  expect(read).toMatchObject({
    principal: session.principal,
    protocolVersion: 'label',
    version: 2,
    openCalls: [{ callId: call.callId, owner: 'somebody' }],
    standalone: 1,
  })
  expect(read?.createdAt).toBeGreaterThanOrEqual(began)
  expect(read?.createdAt).toBeLessThanOrEqual(ended)
  expect(read?.expiresInMs).toBeGreaterThan(HOUR - 60_000)
  const state = await inspect.sessions.state(session.id)
  expect(state.map(({ key, version, data }) => [key, version, data])).toEqual([
    ['initialize', 1, '{}'],
    ['level', 2, '{"lévél":1}'],
  ])
  for (const { at } of state) expect(at >= began && at <= ended).toBe(true)
  expect(await inspect.sessions.state(session.id, ['level', 'nothing'])).toHaveLength(1)
  expect(await inspect.sessions.read('nobody')).toBeUndefined()
})

test('entries say when they were written, whatever their ids are', async () => {
  await using opened = open()
  const { store, inspect } = opened
  const session = newSession()
  await store.createSession(session, LIMITS)
  const call = newCall(session.id)
  const started = await store.openCall(call)
  if (started.status !== 'opened') throw new Error(started.status)
  const epoch = Number.parseInt(started.id, 10)
  const log = `call:${call.callId}` as const
  const quietly = { id: `${epoch}-2`, data: 'a', after: 1500 }
  await store.appendQuietly(session.id, call.callId, [quietly])
  await store.appendCall(session.id, call.callId, [
    { id: `${epoch}-3`, data: 'b', after: 2500 },
    { id: `${epoch}-4`, data: 'c' },
  ])
  const [first, ...rest] = await inspect.logs.read(session.id, log, undefined, 10)
  expect(first).toEqual({ id: `${epoch}-1`, data: 'request', at: epoch })
  expect(rest).toEqual([
    { id: `${epoch}-2`, data: 'a', at: epoch + 1500 },
    { id: `${epoch}-3`, data: 'b', at: epoch + 2500 },
    { id: `${epoch}-4`, data: 'c', at: epoch },
  ])
  expect(await inspect.logs.read(session.id, log, `${epoch}-2`, 1)).toEqual([rest[1]])
  expect(await inspect.logs.newest(session.id, log, 2)).toEqual(rest.slice(1))
  expect(await inspect.logs.size(session.id, log)).toBe(4)
  expect(await inspect.logs.expiresInMs(session.id, log)).toBeGreaterThan(0)
  const out = await store.append(session.id, 'out', 'x', once())
  expect(await inspect.logs.read(session.id, 'out', undefined, 10)).toEqual([
    { id: out, data: 'x', at: Number.parseInt(out || '', 10) },
  ])
  expect(await inspect.logs.read('nobody', 'out', undefined, 10)).toEqual([])
})

test('sessions and calls are found by the beginning of their ids, literally', async () => {
  await using opened = open()
  const { store, inspect } = opened
  for (const id of ['ab-1', 'ab-2', 'a*-3', '}odd{']) {
    await store.createSession(newSession({ id }), LIMITS)
    await store.openCall(newCall(id, { callId: `call of ${id}` }))
  }
  expect((await inspect.sessions.find('ab-')).toSorted()).toEqual(['ab-1', 'ab-2'])
  expect(await inspect.sessions.find('a*')).toEqual(['a*-3'])
  expect(await inspect.sessions.find('zz')).toEqual([])
  expect(await inspect.sessions.count()).toBe(4)
  expect(await inspect.sessions.newest(2)).toHaveLength(2)
  expect(await inspect.sessions.newest(10, 3)).toHaveLength(1)
  expect(await inspect.calls.find('call of }')).toEqual([{ scope: '}odd{', callId: 'call of }odd{' }])
  expect(await inspect.calls.find('call of ab')).toHaveLength(2)
  expect(await inspect.calls.of('}odd{')).toEqual(['call of }odd{'])
})

test('nodes, what they say about themselves, and who is watched', async () => {
  await using opened = open()
  const { store, inspect } = opened
  await store.beat('one', 'about one')
  await store.beat('two')
  await store.hold('one', ['a', 'b'])
  await store.leave('two')
  const nodes = await inspect.nodes.list()
  const one = nodes.find(({ node }) => node === 'one')
  expect(one).toMatchObject({ about: 'about one', scopes: 2, left: false })
  expect(one?.lateMs).toBeLessThan(10_000)
  expect(nodes.find(({ node }) => node === 'two')).toMatchObject({ about: undefined, left: true })
  const held = []
  for await (const page of inspect.nodes.held('one')) held.push(...page)
  expect(held.toSorted()).toEqual(['a', 'b'])
  expect(await inspect.nodes.isWatched('node:one')).toBe(false)
  await store.watch('node:one', () => undefined)
  expect(await inspect.nodes.isWatched('node:one')).toBe(true)
  await store.release('one', ['a', 'b'])
  await store.leave('one')
  expect(await store.removeNode('one', 0)).toBe(true)
  expect(await opened.client.hlen(`${opened.prefix}:about:{nodes}`)).toBe(0)
})

test('session state and maps, as they were written', async () => {
  await using opened = open()
  const { store, inspect } = opened
  const session = newSession()
  await store.createSession(session, LIMITS)
  await store.writeValue(session.id, 'b', 0, 'two words')
  await store.writeValue(session.id, 'a', 0, 'x')
  expect(await inspect.sessions.values(session.id)).toEqual([
    { key: 'a', version: 2, data: 'x' },
    { key: 'b', version: 1, data: 'two words' },
  ])
  await store.changeMap(
    'käse',
    {
      set: [
        ['k1', 'v1'],
        ['k2', 'v2'],
        ['k3', 'v3'],
      ],
      remove: [],
    },
    'mark',
  )
  expect(await inspect.maps.names()).toEqual(['käse'])
  expect(await inspect.maps.size('käse')).toBe(3)
  expect(await inspect.maps.read('käse', { limit: 2 })).toEqual([
    ['k1', 'v1'],
    ['k2', 'v2'],
  ])
  expect(await inspect.maps.read('käse', { limit: 9, after: 'k2' })).toEqual([['k3', 'v3']])
  expect(await inspect.maps.read('käse', { limit: 9, after: 'k2', reverse: true })).toEqual([['k1', 'v1']])
  expect(await inspect.maps.read('none', { limit: 9 })).toEqual([])
})

test('every key that the store makes is known for what it is', async () => {
  await using opened = open()
  const { store, client, prefix, inspect } = opened
  const session = newSession({ id: 'sessïon' })
  const scope = session.id
  await store.createSession(session, LIMITS)
  await store.append(scope, 'out', 'x', once())
  await store.writeValue(scope, 'key', 0, 'x')
  const [running, ended] = [newCall(scope, { callId: 'running' }), newCall(scope, { callId: 'ended' })]
  for (const call of [running, ended]) {
    const started = await store.openCall(call)
    if (started.status !== 'opened' || call !== ended) continue
    const close = { requestKeys: call.requestKeys, retainMs: HOUR, keepKey: true }
    await store.appendCall(scope, call.callId, [{ id: started.id.replace(/1$/, '2'), data: 'end' }], close)
  }
  await store.append(scope, 'call:running:in', 'x', once())
  await store.changeMap('map', { set: [['k', 'v']], remove: [] }, 'mark')
  await store.beat('node', 'about')
  await store.hold('node', [scope])
  await client.set(`${prefix}:{x}:other`, 'not ours', 'EX', 60)

  const surveyed: SurveyedKey[] = []
  for await (const page of inspect.survey.keys()) surveyed.push(...page)
  const kinds = surveyed.map(({ place }) => place.kind)
  expect([...new Set(kinds)].toSorted()).toEqual(
    ['about', 'ended', 'held', 'inbox', 'journal', 'map', 'map-marks', 'map-values', 'nodes', 'once']
      .concat(['out', 'principal', 'session', 'sessions', 'state', 'unknown'])
      .toSorted(),
  )
  const unknown = surveyed.filter(({ place }) => place.kind === 'unknown')
  expect(unknown.map(({ key }) => key)).toEqual([`${prefix}:{x}:other`])
  for (const { place } of surveyed) if ('scope' in place) expect(place.scope).toBe(scope)
  const journals = surveyed.flatMap(({ place }) => (place.kind === 'journal' ? [place.callId] : []))
  expect(journals.toSorted()).toEqual(['ended', 'running'])
  expect(
    surveyed
      .filter(({ ttlMs }) => ttlMs === undefined)
      .map(({ place }) => place.kind)
      .toSorted(),
  ).toEqual(['map', 'map-values'])
  for (const { bytes } of surveyed) expect(bytes).toBeGreaterThan(0)
})

test('what a server says about itself', async () => {
  await using opened = open()
  const [server, ...others] = await opened.inspect.servers.list()
  expect(others).toEqual([])
  expect(server?.info['redis_mode']).toBe('standalone')
  expect(server?.config?.['maxmemory-policy']).toBe('noeviction')
  expect(server?.cluster).toBeUndefined()
  expect(Math.abs(server?.clock.aheadMs ?? Number.NaN)).toBeLessThan(10_000)
})
