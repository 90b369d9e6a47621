import type { HistoryOptions } from '../src/history-options.js'
import { describe, expect, test } from 'vitest'
import { parseHistory } from '../src/history-options.js'
import { durable } from '../src/index.js'
import type { Store } from '../src/index.js'
import { Alone } from './support/alone.js'
import { startNodes } from './support/nodes.js'
import { Session } from './support/session.js'
import { STORES } from './support/stores.js'
import { durableServer } from './support/durable-server.js'
import { waitFor } from '../../../test-support/index.js'

const history: HistoryOptions = { keep: '1h' }
const uri = 'test://static'

/** What a history says, without what differs from run to run. */
async function told(store: Store | undefined, sessionId: string) {
  const entries = (await store?.history(sessionId, { limit: 1000 })) ?? []
  return entries.map(({ log, data }) => {
    const [kind = '', ...json] = log.startsWith('call:') ? data.split(' ') : ['', data]
    const message = JSON.parse(json.join(' ')) as { method?: string; messages?: [{ method: string }] }
    return [log.split(':')[0], kind, message.method ?? message.messages?.[0].method].filter(Boolean).join(' ')
  })
}

describe.each(STORES)('a history, %s', (store) => {
  test('outlives the session and the resume window of its calls, on whichever nodes they ran', async () => {
    await using nodes = await startNodes({ store, settings: { history, resumeWindowMs: 1 } })
    await Session.begin(nodes, { node: 1 })
    const session = await Session.begin(nodes)
    await session.result('say', { count: 1 }, { node: 1 })
    await nodes.mcp(0).notify(session.id, { method: 'notifications/tools/list_changed' })
    await (await session.request('resources/read', { uri })).text()
    expect((await session.delete()).status).toBe(200)
    expect(await told(nodes.stores[1], session.id)).toEqual([
      'state initialize',
      'state notifications/initialized',
      'call request tools/call',
      'call handler',
      'call message notifications/message',
      'call response',
      'out notifications/tools/list_changed',
    ])
  })

  test('has requests of the methods that it is to have, which are journaled then', async () => {
    const settings = { history: { ...history, methods: ['resources/read'] } }
    await using nodes = await startNodes({ store, count: 1, settings })
    const session = await Session.begin(nodes)
    const read = await session.request('resources/read', { uri })
    expect(read.headers.get('content-type')).toBe('text/event-stream')
    expect(await read.text()).toContain('static text')
    const list = await session.request('tools/list')
    expect(list.headers.get('content-type')).toBe('application/json')
    await list.text()
    const calls = (await told(nodes.stores[0], session.id)).filter((line) => line.startsWith('call'))
    expect(calls).toEqual(['call request resources/read', 'call response'])
  })

  test('is not kept unless it is asked for', async () => {
    await using nodes = await startNodes({ store, count: 1 })
    const session = await Session.begin(nodes)
    await session.result('echo', { text: '' })
    expect(await told(nodes.stores[0], session.id)).toEqual([])
  })

  test('what is forgotten ends where it runs, as if its client had deleted it', async () => {
    await using nodes = await startNodes({ store, settings: { history } })
    const session = await Session.begin(nodes, { who: 'alice/1' })
    const other = await Session.begin(nodes, { who: 'bob/1', node: 1 })
    await using call = await session.call('wait', { gate: 'g' }, { node: 1 })
    await nodes.world.happened.until('started g')
    const forgotten = await nodes.stores[0]!.forget({ principal: 'alice' })
    expect(forgotten).toEqual({ sessions: 1, calls: 1, entries: 4 })
    await nodes.world.happened.until('aborted g')
    expect(await call.messages()).toEqual([])
    expect((await session.request('ping')).status).toBe(404)
    expect(await told(nodes.stores[0], session.id)).toEqual([])
    expect(await other.result('echo', { text: 'on' })).toBe('on')
  })

  test('of calls without a session: each has its own, and they are forgotten with their principal', async () => {
    await using nodes = await startNodes({ store, settings: { history, resumeWindowMs: 1 } })
    const [client, peer] = [new Alone(nodes), nodes.stores[1]]
    const said = await client.call('say', { count: 1 }, { who: 'alice/1', node: 1 })
    const [ended = ''] = ((await said.next())?.id ?? '').split('.')
    await said.rest()
    await using running = await client.call('wait', { gate: 'g' }, { who: 'alice/2' })
    const [open = ''] = ((await running.next())?.id ?? '').split('.')
    await using other = await client.call('echo', { text: 'on' }, { who: 'bob/1' })
    const [others = ''] = ((await other.next())?.id ?? '').split('.')
    await other.rest()
    await nodes.world.happened.until('started g')
    await waitFor(async () => !(await peer?.readSession(ended)))
    expect(await told(peer, ended)).toEqual(['call request tools/call', 'call response'])
    expect(await peer?.forget({ principal: 'alice' })).toEqual({ sessions: 0, calls: 1, entries: 3 })
    await nodes.world.happened.until('aborted g')
    expect(await running.messages()).toEqual([])
    for (const callId of [ended, open]) expect(await told(peer, callId)).toEqual([])
    expect(await told(peer, others)).toEqual(['call request tools/call', 'call response'])
  })
})

describe('what can be set', () => {
  const logger = { error() {}, warn() {}, info() {}, debug() {} }
  const start = (options: object) => () =>
    durable({ server: () => durableServer(async () => ''), logger, history: options as HistoryOptions })

  test.each([
    ['30d', 2_592_000_000],
    ['12h', 43_200_000],
    ['90m', 5_400_000],
    ['45s', 45_000],
    [1, 1],
  ])('keep: %s', (keep, keepMs) => {
    expect(parseHistory({ keep })?.keeping.keepMs).toBe(keepMs)
  })

  test.each([
    { keep: '30' },
    { keep: 'd' },
    { keep: '1.5h' },
    { keep: '' },
    { keep: 0 },
    { keep: -1 },
    { keep: Number.NaN },
    { keep: Number.POSITIVE_INFINITY },
    {},
  ])('refused: %o', (options) => {
    expect(start(options)).toThrow(/`history.keep` is a time/)
  })

  test('refused: other things', () => {
    expect(start({ keep: '1d', maxEntries: 0 })).toThrow(/`history.maxEntries`/)
    expect(start({ keep: '1d', methods: ['initialize'] })).toThrow(/always part/)
  })
})
