import { describe, expect, test } from 'vitest'
import { durable } from '../../src/index.js'
import type { FetchHandler, Store } from '../../src/index.js'
import type { Nodes } from '../support/nodes.js'
import { startNodes } from '../support/nodes.js'
import { serverV1 } from '../support/server-v1.js'
import { dataOf, Session, textOf } from '../support/session.js'
import { MapOfTransports } from '../support/wrapped.js'
import { World } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'

// A server that checks tokens refuses what comes without one, or with an old one: each request of ours needs its client's newest.

const refusal = () => new Response('', { status: 401 })

/** Nodes before an upstream that takes one token, and a client that has it. */
async function guarded({ count = 1 } = {}) {
  const nodes = await startNodes({ host: 'upstream', count, settings: { upstreamGraceMs: 2000 } })
  const taken = { token: 'one' }
  const refused: string[] = []
  nodes.upstream!.instead = (request, body) => {
    if (request.headers.get('authorization') === `Bearer alice/${taken.token}`) return undefined
    refused.push(`${request.method} ${body}`)
    return refusal()
  }
  const session = await Session.begin(nodes, { who: 'alice/one' })
  return { nodes, session, taken, refused, two: { who: 'alice/two' } }
}

const idOf = (message: object) => (message as { id?: string }).id
const isAnswer = (body: string) => body.includes('"roots":[]')
const question = { question: 'roots', related: true }

describe('[I-8] an upstream that checks tokens gets', () => {
  test('an answer with that of the client', async () => {
    const { nodes, session, refused } = await guarded()
    await using _ = nodes
    await using call = await session.call('ask', question)
    const asked = await call.nextMessage()
    await session.answer(idOf(asked.message), { roots: [] })
    expect((await call.messages()).map(textOf)).toEqual(['{"roots":[]}'])
    expect(refused).toEqual([])
  })

  test('an answer with the new one that it was given with', async () => {
    const { nodes, session, taken, two } = await guarded()
    await using _ = nodes
    await using call = await session.call('ask', question)
    const asked = await call.nextMessage()
    taken.token = 'two'
    await session.answer(idOf(asked.message), { roots: [] }, two)
    expect((await call.messages()).map(textOf)).toEqual(['{"roots":[]}'])
  })

  test('a cancellation with that of the client', async () => {
    const { nodes, session, refused } = await guarded()
    await using _ = nodes
    await using call = await session.call('wait', { gate: 'g' }, { id: 'c' })
    await call.next()
    await nodes.world.happened.until('started g')
    await session.notify('notifications/cancelled', { requestId: 'c' })
    await nodes.world.happened.until('aborted g')
    expect(refused).toEqual([])
  })

  test('the rest of a running call asked for with the newest of its client', async () => {
    const { nodes, session, taken, two } = await guarded()
    await using _ = nodes
    await using call = await session.call('chant', { count: 2 })
    nodes.world.gates.open('verse 1')
    const first = await call.nextMessage()
    taken.token = 'two'
    expect((await session.request('tools/list', {}, two)).status).toBe(200)
    await nodes.upstream!.cut()
    await nodes.upstream!.listen()
    nodes.world.gates.open('verse 2')
    let messages = await call.messages()
    while (messages.length === 0) messages = await (await session.stream(first.id, two)).messages()
    expect(textOf(messages.at(-1))).toBe('chanted 2')
  })

  test('the rest of a running call asked for with the new one that its client comes back with', async () => {
    const { nodes, session, taken, refused, two } = await guarded()
    await using _ = nodes
    await using call = await session.call('chant', { count: 2 })
    nodes.world.gates.open('verse 1')
    const first = await call.nextMessage()
    taken.token = 'two'
    await nodes.upstream!.cut()
    await nodes.upstream!.listen()
    await waitFor(() => refused.length > 0)
    nodes.world.gates.open('verse 2')
    await using resumed = await session.stream(first.id, two)
    let messages = await resumed.messages()
    while (messages.length === 0) messages = await (await session.stream(first.id, two)).messages()
    expect(textOf(messages.at(-1))).toBe('chanted 2')
  })

  test('a standalone stream with that of the client, on a node that did not know the session', async () => {
    const { nodes, session, refused } = await guarded({ count: 2 })
    await using _ = nodes
    await using stream = await session.stream(undefined, { node: 1 })
    await session.result('tell', { count: 1 })
    expect(dataOf((await stream.nextMessage()).message)).toBe('tell 1')
    expect(refused).toEqual([])
  })
})

test('[I-8] a request that came before, and is journaled after, puts its older token in place of no newer one', async () => {
  const openings: Promise<void>[] = []
  const slow = (store: Store): Store =>
    Object.assign(Object.create(store) as Store, {
      openCall: async (...args: Parameters<Store['openCall']>) => {
        await openings.pop()
        return store.openCall(...args)
      },
    })
  await using nodes = await startNodes({ host: 'upstream', count: 1, wrap: slow })
  const given: (string | null)[] = []
  nodes.upstream!.instead = (request) => {
    if (request.method === 'GET') given.push(request.headers.get('authorization'))
    return undefined
  }
  const [one, two] = [{ who: 'alice/one' }, { who: 'alice/two' }]
  const session = await Session.begin(nodes, one)
  let open = () => undefined as void
  openings.push(new Promise((resolve) => (open = resolve)))
  const first = session.request('tools/call', { name: 'echo', arguments: { text: 'late' } }, one)
  await waitFor(() => openings.length === 0)
  await using call = await session.call('chant', { count: 2 }, two)
  nodes.world.gates.open('verse 1')
  const amen = await call.nextMessage()
  open()
  await (await first).text()
  await nodes.upstream!.cut()
  await nodes.upstream!.listen()
  nodes.world.gates.open('verse 2')
  let messages = await call.messages()
  while (messages.length === 0) messages = await (await session.stream(amen.id, two)).messages()
  expect(textOf(messages.at(-1))).toBe('chanted 2')
  expect(new Set(given)).toEqual(new Set(['Bearer alice/two']))
})

test.each([401, 403, 413, 422])(
  '[I-8] an answer that an upstream refuses with %i ends its call, and is on the log',
  async (status) => {
    await using nodes = await startNodes({ host: 'upstream', count: 1 })
    nodes.upstream!.instead = (_request, body) => (isAnswer(body) ? new Response('', { status }) : undefined)
    const session = await Session.begin(nodes)
    await using call = await session.call('ask', question)
    const asked = await call.nextMessage()
    await session.answer(idOf(asked.message), { roots: [] })
    const [ended] = await call.messages()
    expect(ended).toMatchObject({ error: { message: expect.stringMatching(`answer.*${status}.*unknown`) } })
    expect(nodes.logs.map(({ message }) => message)).toContain('the server did not take a message')
    await waitFor(() => nodes.upstream!.requests.some(({ body }) => body.includes('notifications/cancelled')))
  },
)

test('[I-8] a handler that checks tokens gets an answer and a cancellation with that of the client', async () => {
  const world = new World()
  const { fetch } = new MapOfTransports(() => serverV1('handler', world), { sdk: 'v1' })
  const refused: string[] = []
  const handler: FetchHandler = async (request, options) => {
    if (request.headers.get('authorization') === 'Bearer alice/one') return fetch(request, options)
    refused.push(await request.text())
    return refusal()
  }
  const quiet = () => undefined
  const logger = { error: quiet, warn: quiet, info: quiet, debug: quiet }
  const mcp = durable({ handler, logger })
  const endpoint = () => ({
    fetch: (init?: RequestInit) => mcp.fetch(new Request('http://127.0.0.1/mcp', init)),
  })
  const session = await Session.begin({ endpoint } as unknown as Nodes, { who: 'alice/one' })
  await using call = await session.call('ask', question)
  const asked = await call.nextMessage()
  await session.answer(idOf(asked.message), { roots: [] })
  expect((await call.messages()).map(textOf)).toEqual(['{"roots":[]}'])
  await using waiting = await session.call('wait', { gate: 'g' }, { id: 'c' })
  await waiting.next()
  await world.happened.until('started g')
  await session.notify('notifications/cancelled', { requestId: 'c' })
  await world.happened.until('aborted g')
  await mcp.close({ graceMs: 0 })
  expect(refused).toEqual([])
})
