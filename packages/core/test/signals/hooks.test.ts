import { describe, expect, test } from 'vitest'
import { durable, memoryStore } from '../../src/index.js'
import { signalsFor } from '../../src/signals/signals.js'
import { Alone } from '../support/alone.js'
import { durableServer } from '../support/durable-server.js'
import { Listener } from '../support/heard.js'
import { startNodes } from '../support/nodes.js'
import { expectStream, Session } from '../support/session.js'
import { STORES } from '../support/stores.js'
import { Weather } from '../support/weather.js'
import { waitFor } from '../../../../test-support/index.js'

const logger = { error() {}, warn() {}, info() {}, debug() {} }

describe.each(STORES)('hooks are told, %s', (store) => {
  test('of each run of a request: what it is, how it came out, and how long it took', async () => {
    const heard = new Listener()
    await using nodes = await startNodes({ store, count: 1, settings: { on: heard.on } })
    const session = await Session.begin(nodes)
    const run = { sessionId: session.id, attempt: 1, protocolVersion: '2025-11-25' }
    expect(await session.result('echo', { text: 'hi' })).toBe('hi')
    const ok = {
      ...run,
      method: 'tools/call',
      name: 'echo',
      outcome: 'ok',
      errorCode: undefined,
      isRegistered: true,
    }
    const { callId, durationMs, ...rest } = await heard.until('call', { name: 'echo' })
    expect(rest).toEqual(ok)
    expect(durationMs).toBeGreaterThan(0)
    const echo = { ...run, callId, method: 'tools/call', name: 'echo' }
    const beginning = { ...run, protocolVersion: undefined, method: 'initialize' }
    expect(heard.all('callBegun')).toMatchObject([beginning, echo])
    expect(heard.all('call')[0]).toMatchObject({ ...beginning, outcome: 'ok' })
    await session.result('fail', { message: 'no' })
    expect(await heard.until('call', { name: 'fail' })).toMatchObject({ ...run, outcome: 'tool-error' })
    await (await session.request('tools/list')).json()
    expect(await heard.until('call', { method: 'tools/list' })).toMatchObject({
      name: undefined,
      outcome: 'ok',
    })
    await (await session.request('no/such')).json()
    expect(await heard.until('call', { method: 'no/such' })).toMatchObject({
      outcome: 'error',
      errorCode: -32601,
    })
  })

  test('of a call that its client cancels', async () => {
    const heard = new Listener()
    await using nodes = await startNodes({ store, count: 1, settings: { on: heard.on } })
    const session = await Session.begin(nodes)
    await using _ = await session.call('wait', { gate: 'g' }, { id: 'mine' })
    await nodes.world.happened.until('started g')
    await session.notify('notifications/cancelled', { requestId: 'mine' })
    expect(await heard.until('call', { name: 'wait' })).toMatchObject({ outcome: 'cancelled' })
  })

  test('of sessions, of HTTP requests, and of server objects that are made again', async () => {
    const heard = new Listener()
    await using nodes = await startNodes({ store, settings: { on: heard.on } })
    const session = await Session.begin(nodes)
    const sessionId = session.id
    expect(heard.all('sessionBegun')).toEqual([{ sessionId, protocolVersion: '2025-11-25' }])
    expect(heard.all('rebuild')).toEqual([])
    await session.result('echo', { text: '' }, { node: 1 })
    expect(heard.all('rebuild')).toMatchObject([{ sessionId, outcome: 'done' }])
    expect((await session.delete()).status).toBe(200)
    expect(heard.all('sessionEnded')).toEqual([{ sessionId }])
    expect((await session.request('ping')).status).toBe(404)
    const answered = heard.all('request').map(({ httpMethod, status }) => `${httpMethod} ${status}`)
    expect(answered).toEqual(['POST 200', 'POST 202', 'POST 200', 'DELETE 200', 'POST 404'])
  })

  test('of calls without a session: each tells its version, and none a session', async () => {
    const heard = new Listener()
    await using nodes = await startNodes({
      store,
      settings: { on: heard.on, eras: ['2025-11-25', '2026-07-28'] },
    })
    const client = new Alone(nodes)
    const about = { sessionId: undefined, protocolVersion: '2026-07-28', attempt: 1 }
    await using stream = await client.call('say', { count: 1, gate: 'g' })
    const priming = await stream.next()
    const { callId } = await heard.until('callBegun', { name: 'say' })
    expect(heard.all('callBegun')).toMatchObject([{ ...about, callId, method: 'tools/call', name: 'say' }])
    expect(await heard.until('streamOpened', { resumed: false })).toEqual({
      sessionId: undefined,
      stream: 'call',
      resumed: false,
    })
    await using resumed = await client.stream(priming?.id, { node: 1 })
    nodes.world.gates.open('g')
    await resumed.messages()
    expect(await heard.until('call', { name: 'say' })).toMatchObject({ ...about, outcome: 'ok' })
    expect(await heard.until('replayed')).toMatchObject({ sessionId: undefined, stream: 'call' })
    expect(heard.all('rebuild')).toEqual([])
    const notifications = { toolsListChanged: true }
    await using _ = await expectStream(await client.request('subscriptions/listen', { notifications }))
    await heard.until('streamOpened', { stream: 'listen', sessionId: undefined })
  })

  test('of streams, and of what was there when a client came back', async () => {
    const heard = new Listener()
    await using nodes = await startNodes({ store, settings: { on: heard.on } })
    const session = await Session.begin(nodes)
    const call = await session.call('say', { count: 3, gate: 'g' })
    const priming = await call.next()
    for (let n = 0; n < 3; n++) await call.nextMessage()
    await call[Symbol.asyncDispose]()
    const first = { sessionId: session.id, stream: 'call', resumed: false } as const
    expect(await heard.until('streamClosed', first)).toMatchObject(first)
    await using resumed = await session.stream(priming?.id, { node: 1 })
    const { id: sessionId } = session
    expect(await heard.until('replayed')).toEqual({ sessionId, stream: 'call', events: 3 })
    nodes.world.gates.open('g')
    await resumed.rest()
    await heard.until('streamClosed', { resumed: true })
    expect(heard.all('replayed')).toHaveLength(1)
  })

  test('of takeovers: a call that is run again, and one that may not be', async () => {
    const heard = new Listener()
    await using nodes = await startNodes({ store, settings: { on: heard.on } })
    const session = await Session.begin(nodes)
    for (const name of ['look', 'wait']) await (await session.call(name, { gate: name })).next()
    await nodes.world.happened.until('started look')
    await nodes.world.happened.until('started wait')
    await nodes.mcp(0).close({ graceMs: 0 })
    for (const name of ['look', 'wait']) {
      expect(await heard.until('call', { name })).toMatchObject({ attempt: 1, outcome: 'moved' })
    }
    const again = await heard.until('takeover', { outcome: 'run' })
    const over = await heard.until('takeover', { outcome: 'unknown' })
    expect(again).toMatchObject({ sessionId: session.id, attempt: 2 })
    expect(over.callId).not.toBe(again.callId)
    nodes.world.gates.open('look')
    const second = { callId: again.callId, attempt: 2, outcome: 'ok' } as const
    expect(await heard.until('call', second)).toMatchObject({ name: 'look' })
  })

  test('of a write that the store refuses, since another node has the call', async () => {
    const heard = new Listener()
    await using nodes = await startNodes({ store, settings: { on: heard.on } })
    const session = await Session.begin(nodes)
    await using _ = await session.call('deaf', { gate: 'g' })
    await nodes.world.happened.until('started g')
    const [callId = ''] = await nodes.stores[0]!.findCalls(session.id, '')
    // Quietly: this node is not woken, and finds out when it writes.
    const entry = { id: `${Date.now() + 100_000}-1`, data: 'claim {}' }
    await nodes.stores[0]!.appendQuietly(session.id, callId, [entry])
    nodes.world.gates.open('g')
    expect(await heard.until('fenced')).toEqual({ sessionId: session.id, callId })
    expect(await heard.until('call', { name: 'deaf' })).toMatchObject({ outcome: 'moved' })
  })

  test('of steps, by their names and not by their keys', async () => {
    const heard = new Listener()
    const server = () =>
      durableServer(async (ctx, { text }) => {
        await ctx.atLeastOnce('look up', () => text, { key: 'secret' })
        return ctx.atMostOnce('charge', () => Promise.reject(new Error('no')))
      })
    await using nodes = await startNodes({ store, count: 1, settings: { server, on: heard.on } })
    const session = await Session.begin(nodes)
    await session.result('work', { text: 'x' })
    const run = { sessionId: session.id, method: 'tools/call', name: 'work', attempt: 1, isRegistered: true }
    expect(heard.all('step')).toMatchObject([
      { ...run, step: 'look up', outcome: 'done' },
      { ...run, step: 'charge', outcome: 'failed' },
    ])
  })

  test('of a step whose call is cancelled', async () => {
    const heard = new Listener()
    const server = () =>
      durableServer(async (ctx) => {
        await ctx.now('clock')
        return ctx.atLeastOnce('forever', () => new Promise<string>(() => undefined))
      })
    await using nodes = await startNodes({ store, count: 1, settings: { server, on: heard.on } })
    const session = await Session.begin(nodes)
    await using _ = await session.call('work', { text: 'x' }, { id: 'mine' })
    await heard.until('step', { step: 'clock', outcome: 'done' })
    await session.notify('notifications/cancelled', { requestId: 'mine' })
    expect(await heard.until('call', { name: 'work' })).toMatchObject({ outcome: 'cancelled' })
    expect(await heard.until('step', { step: 'forever' })).toMatchObject({ outcome: 'stopped' })
  })

  test('of operations of the store, those that fail too', async () => {
    const heard = new Listener()
    const weather = new Weather()
    const wrap = weather.wrap.bind(weather)
    await using nodes = await startNodes({ store, count: 1, wrap, settings: { on: heard.on } })
    const session = await Session.begin(nodes)
    expect(await heard.until('storeOperation', { operation: 'createSession' })).toMatchObject({
      error: undefined,
    })
    weather.set('away', { only: ['openCall'], times: 1 })
    expect((await session.request('tools/call', { name: 'echo', arguments: {} })).status).toBe(503)
    await heard.until('storeOperation', { operation: 'openCall', error: 'store-unavailable' })
  })
})

test.each(['handler', 'upstream'] as const)('hooks are told of calls of a %s', async (host) => {
  const heard = new Listener()
  await using nodes = await startNodes({ count: 1, host, settings: { on: heard.on } })
  const session = await Session.begin(nodes)
  await session.result('echo', { text: 'hi' })
  await session.result('fail', { message: 'no' })
  expect(await heard.until('call', { name: 'echo' })).toMatchObject({ outcome: 'ok' })
  expect(await heard.until('call', { name: 'fail' })).toMatchObject({ outcome: 'tool-error' })
})

test('a hook that throws, at once or later, is logged and hurts nothing', async () => {
  const on = {
    callBegun: () => {
      throw new Error('at once')
    },
    call: () => Promise.reject(new Error('later')),
  }
  await using nodes = await startNodes({ count: 1, settings: { on } })
  const session = await Session.begin(nodes)
  expect(await session.result('echo', { text: 'unhurt' })).toBe('unhurt')
  const errors = () => nodes.logs.filter(({ level }) => level === 'error')
  await waitFor(() => errors().length === 4)
  // For initialize, and for the tool.
  const twice = [{ fields: { hook: 'callBegun' } }, { fields: { hook: 'call' } }]
  expect(errors()).toMatchObject([...twice, ...twice])
})

test('what nobody listens to is not there, and costs nothing', () => {
  const there = (signals: object) =>
    Object.entries(signals).flatMap(([name, member]) => (member === undefined ? [] : [name]))
  expect(there(signalsFor({ logger }))).toEqual([])
  expect(there(signalsFor({ on: {}, logger }))).toEqual([])
  const hook = () => undefined
  expect(there(signalsFor({ on: { takeover: hook }, logger }))).toEqual(['takeover'])
  expect(there(signalsFor({ on: { call: hook }, logger }))).toEqual(['request', 'call'])
  expect(there(signalsFor({ on: { fenced: hook }, logger }))).toEqual(['store'])
})

test('a hook that would never be called is refused', () => {
  const server = () => durableServer(async () => '')
  const start = (on: object) => () => durable({ server, logger, on })
  expect(start({ calls: () => undefined })).toThrow('no event `calls`. Did you mean `call`?')
  expect(start({ call: 'log' })).toThrow(/`on.call` must be a function/)
})

test('an observed store does what the store does', async () => {
  const heard = new Listener()
  const plain = memoryStore()
  const observed = signalsFor({ on: heard.on, logger }).store!(plain)
  const session = {
    id: 's',
    principal: undefined,
    protocolVersion: 'l',
    state: { key: 'k', data: 'd' },
    ttlMs: 1000,
  }
  expect(await observed.createSession(session, { maxPerPrincipal: 1 })).toBe('created')
  expect(await observed.readSession('s')).toEqual(await plain.readSession('s'))
  expect(heard.all('storeOperation').map(({ operation }) => operation)).toEqual([
    'createSession',
    'readSession',
  ])
  await observed.close()
})
