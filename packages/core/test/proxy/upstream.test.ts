import { describe, expect, test } from 'vitest'
import { Behind, event } from '../support/bad-answers.js'
import type { EventReader } from '../support/event-reader.js'
import { startNodes } from '../support/nodes.js'
import { resultFor, SSE } from '../support/raw-upstream.js'
import { dataOf, expectJson, initialize, Session, textOf } from '../support/session.js'
import type { RequestId } from '../../src/json-rpc.js'
import type { Store } from '../../src/store/store.js'
import { waitFor } from '../../../../test-support/index.js'

const uri = 'test://static'

describe('[I-5] an upstream that can’t be reached', () => {
  test('502 and a JSON-RPC error for new requests, at once', async () => {
    await using nodes = await startNodes({ host: 'upstream' })
    const session = await Session.begin(nodes)
    await nodes.upstream?.cut()
    expect(await expectJson(await initialize(nodes), 502)).toMatchObject({ id: 1, error: { code: -32000 } })
    const refused = await expectJson(await session.request('resources/list', {}, { id: 'r' }), 502)
    expect(refused).toMatchObject({ id: 'r', error: { message: expect.stringMatching(/nothing was done/) } })
    const call = await session.call('echo', { text: '' })
    expect(await call.messages()).toMatchObject([
      { error: { message: expect.stringMatching(/nothing was/) } },
    ])
    await nodes.upstream?.listen()
    expect(await session.result('echo', { text: 'back' })).toBe('back')
  })

  test('a connection that breaks is resumed, and the call goes on', async () => {
    await using nodes = await startNodes({ host: 'upstream' })
    const session = await Session.begin(nodes)
    await using call = await session.call('chant', { count: 3 })
    nodes.world.gates.open('verse 1')
    expect(dataOf((await call.nextMessage()).message)).toBe('amen')
    await nodes.upstream?.cut()
    nodes.world.gates.open('verse 2')
    await nodes.world.happened.until('started verse 3')
    await nodes.upstream?.listen()
    nodes.world.gates.open('verse 3')
    const messages = await call.messages()
    expect(messages.slice(0, -1).map(dataOf)).toEqual(['amen', 'amen'])
    expect(textOf(messages.at(-1))).toBe('chanted 3')
  })

  test('a running call that may not run again ends when its grace is over', async () => {
    await using nodes = await startNodes({ host: 'upstream', settings: { upstreamGraceMs: 300 } })
    const session = await Session.begin(nodes)
    await using call = await session.call('wait', { gate: 'g' })
    await nodes.world.happened.until('started g')
    await nodes.upstream?.cut()
    expect((await call.messages()).map(textOf)).toEqual([expect.stringMatching(/outcome is unknown/)])
  })
})

test('[I-5] a call whose stream the upstream has forgotten, and shows empty, ends when its grace is over', async () => {
  await using behind = await Behind.start({ upstreamGraceMs: 300 })
  behind.upstream.instead = ({ method, message, headers }) => {
    if (message.method === 'tools/call') return `${SSE}retry: 10\nid: e1\ndata: \n\n`
    return method === 'GET' && headers['last-event-id'] !== undefined ? SSE : undefined
  }
  const session = await Session.begin(behind.nodes)
  const ended = await toTheEnd(session, await session.call('run'))
  expect(ended.map(textOf)).toEqual([expect.stringMatching(/outcome is unknown/)])
  expect(behind.upstream.requests.filter(({ method }) => method === 'GET').length).toBeLessThan(10)
})

test('[I-5] an upstream that makes its clients poll is polled for as long as the call runs', async () => {
  await using behind = await Behind.start({ upstreamGraceMs: 200 })
  let id: RequestId | undefined
  let polls = 0
  behind.upstream.instead = ({ method, message, headers }) => {
    if (message.method === 'tools/call') {
      id = message.id
      return `${SSE}retry: 20\nid: e1\ndata: \n\n`
    }
    if (method !== 'GET' || headers['last-event-id'] === undefined) return undefined
    return ++polls < 30 ? `${SSE}retry: 20\n\n` : event(JSON.stringify(resultFor(id)))
  }
  const session = await Session.begin(behind.nodes)
  const ended = await toTheEnd(session, await session.call('run'))
  expect(ended.map(textOf)).toEqual(['fine'])
})

describe('[I-4] an upstream that was restarted', () => {
  test('has log level and subscriptions again, and one session for all nodes', async () => {
    await using nodes = await startNodes({ host: 'upstream' })
    const session = await Session.begin(nodes)
    await using stream = await session.stream()
    await session.request('logging/setLevel', { level: 'error' })
    await session.request('resources/subscribe', { uri })
    nodes.wrapped[0]?.forget()
    for (const node of [0, 1]) expect(await session.result('touch', { uri }, { node })).toBe('updated')
    expect(await session.result('log', { level: 'info' })).toBe('logged info')
    expect(nodes.wrapped[0]?.sessions.size).toBe(1)
    const updates = [await stream.nextMessage(), await stream.nextMessage()]
    expect(updates.map(({ message }) => message)).toMatchObject([{ params: { uri } }, { params: { uri } }])
  })

  test('runs a read-only tool once more, and any other not', async () => {
    await using nodes = await startNodes({ host: 'upstream' })
    const session = await Session.begin(nodes)
    await using looking = await session.call('look', { gate: 'l' })
    for (const data of ['say 1', 'say 2']) expect(dataOf((await looking.nextMessage()).message)).toBe(data)
    await using waiting = await session.call('wait', { gate: 'w' })
    for (const gate of ['l', 'w']) await nodes.world.happened.until(`started ${gate}`)
    nodes.wrapped[0]?.forget()
    await nodes.world.happened.until('started l', 2)
    nodes.world.gates.open('l')
    expect((await toTheEnd(session, looking)).map(textOf)).toEqual(['l on upstream'])
    const ended = await toTheEnd(session, waiting)
    expect(ended.map(textOf)).toEqual([expect.stringMatching(/outcome is unknown/)])
    expect(nodes.world.happened.count('started w')).toBe(1)
  })
})

describe('[I-2] one session of the upstream', () => {
  test('is used by all nodes, told each thing once, and deleted with ours', async () => {
    const watching: string[] = []
    const wrap = (own: Store): Store =>
      Object.assign(Object.create(own) as Store, {
        watch: async (...args: Parameters<Store['watch']>) => {
          watching.push(args[0])
          const unwatch = await own.watch(...args)
          return () => {
            watching.splice(watching.indexOf(args[0]), 1)
            unwatch()
          }
        },
      })
    await using nodes = await startNodes({
      count: 3,
      host: 'upstream',
      wrap,
      settings: { serverIdleMs: 100 },
    })
    const session = await Session.begin(nodes)
    await session.request('resources/subscribe', { uri }, { node: 1 })
    for (const node of [0, 1, 2]) expect(await session.result('touch', { uri }, { node })).toBe('updated')
    // Server objects leave memory, and with them all subscriptions; they come back. The upstream's session stays.
    await waitFor(() => !watching.includes(session.id))
    for (const node of [2, 1, 0]) expect(await session.result('touch', { uri }, { node })).toBe('updated')
    const sent = (method: string) =>
      nodes.upstream?.requests.filter(({ body }) => body.includes(`"${method}"`))
    expect(sent('initialize')).toHaveLength(1)
    expect(sent('notifications/initialized')).toHaveLength(1)
    expect(sent('resources/subscribe')).toHaveLength(1)
    expect(nodes.wrapped[0]?.sessions.size).toBe(1)
    expect((await session.delete({ node: 2 })).status).toBe(200)
    await waitFor(() => nodes.wrapped[0]?.sessions.size === 0)
  })

  test('its standalone stream is open while the client has one, on that node', async () => {
    await using nodes = await startNodes({ host: 'upstream' })
    const session = await Session.begin(nodes)
    const gets = () => nodes.upstream?.requests.filter(({ method }) => method === 'GET').length
    await session.result('echo', { text: '' })
    expect(gets()).toBe(0)
    const first = await session.stream()
    await waitFor(() => gets() === 1)
    await session.result('tell', { count: 1 }, { node: 1 })
    const told = await first.nextMessage()
    await using second = await session.stream(told.id, { node: 1 })
    await session.result('tell', { count: 2 }, { node: 0 })
    const [one, two] = [await second.nextMessage(), await second.nextMessage()]
    expect([told, one, two].map(({ message }) => dataOf(message))).toEqual(['tell 1', 'tell 1', 'tell 2'])
  })

  test('what it says once the client has its stream is heard, on a node that did not know the session', async () => {
    await using nodes = await startNodes({ host: 'upstream' })
    const sessions = await Promise.all(Array.from({ length: 10 }, () => Session.begin(nodes)))
    for (const session of sessions) {
      await using stream = await session.stream(undefined, { node: 1 })
      await session.result('tell', { count: 1 })
      expect(dataOf((await stream.nextMessage()).message)).toBe('tell 1')
    }
  })
})

/** A server that ends a stream before its response makes its client come back, and so do the nodes. */
async function toTheEnd(session: Session, stream: EventReader) {
  for (let current = stream; ;) {
    const messages = await current.messages()
    if (messages.length > 0) return messages
    current = await session.stream(current.seen.at(-1)?.id)
  }
}

test('which headers an upstream gets', async () => {
  await using nodes = await startNodes({ host: 'upstream', settings: { passHeaders: ['x-tenant'] } })
  const headers = { 'x-tenant': 'acme', 'x-other': '1', cookie: 'c=1' }
  const session = await Session.begin(nodes, { who: 'alice/secret' })
  await session.result('echo', { text: '' }, { headers })
  const last = nodes.upstream?.requests.at(-1)?.headers
  expect(last?.get('x-tenant')).toBe('acme')
  for (const name of ['x-other', 'cookie', 'authorization', 'idempotency-key'])
    expect(last?.has(name)).toBe(false)
  expect(last?.get('mcp-session-id')).not.toBe(session.mcpSessionId)
  expect(last?.get('mcp-protocol-version')).toBe('2025-11-25')
})
