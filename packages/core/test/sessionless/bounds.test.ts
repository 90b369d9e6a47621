import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { expect, test } from 'vitest'
import { META } from '../../src/protocol.js'
import { Alone } from '../support/alone.js'
import { startNodes } from '../support/nodes.js'
import type { NodesOptions } from '../support/nodes.js'
import { expectRefused, expectStream, LATEST, Session } from '../support/session.js'
import { STORES } from '../support/stores.js'

// What a client, a tool or a server behind this one can't bring about by what it sends.

const start = ({ settings, ...options }: NodesOptions = {}) =>
  startNodes({ ...options, settings: { eras: ['2025-11-25', '2026-07-28'], ...settings } })

const listening = (client: Alone, notifications: object, where = {}) =>
  client.request('subscriptions/listen', { notifications }, { id: 'l', ...where })

const aliasOf = (filter: object) => Buffer.from(JSON.stringify(['l', filter])).toString('base64url')

test.each(STORES)('an event id that no node has given out disturbs nobody, over %s', async (store) => {
  await using nodes = await start({ store })
  const client = new Alone(nodes)
  await nodes.mcp(1).changed.tools()
  await using good = await expectStream(await listening(client, { resourceSubscriptions: ['test://r'] }))
  const { id = '' } = await good.nextMessage()
  const [entry] = id.split('~')
  const forged = [{ resourceSubscriptions: 5 }, { resourceSubscriptions: { includes: 1 } }, []]
  for (const filter of forged) {
    const response = await client.get(`${entry}~${aliasOf(filter)}`)
    expect([200, 400]).toContain(response.status)
    if (response.status !== 200) await expectRefused(response, 400)
    else void response.text().catch(() => undefined)
  }
  await using late = await expectStream(await listening(client, { resourceSubscriptions: ['test://r'] }))
  await late.nextMessage()
  for (const node of [0, 1]) {
    await nodes.mcp(node).changed.resource('test://r')
    for (const stream of [good, late])
      expect((await stream.nextMessage()).message).toMatchObject({ params: { uri: 'test://r' } })
  }
})

test('a stream that can’t be resumed does not end for its age', async () => {
  await using nodes = await start({ count: 1, settings: { maxStreamAgeMs: 50, keepAliveMs: 40 } })
  const client = new Alone(nodes)
  const uris = Array.from({ length: 200 }, (_, number) => `test://${number}`)
  await using long = await expectStream(await listening(client, { resourceSubscriptions: uris }))
  const wait = { name: 'wait', arguments: { gate: 'g' } }
  const headers = { 'idempotency-key': 'k'.repeat(22) }
  await using first = await expectStream(await client.request('tools/call', wait, { headers }))
  await first.next()
  const meta = { progressToken: 'p'.repeat(2000) }
  await using short = await expectStream(await listening(client, { toolsListChanged: true }))
  const { id } = await short.nextMessage()
  expect(id).toBeDefined()
  expect((await long.nextMessage()).id).toBeUndefined()
  await using call = await expectStream(await client.request('tools/call', wait, { headers, meta }))
  await nodes.world.happened.until('started g')
  expect(await short.next()).toBeUndefined()
  nodes.world.gates.open('g')
  await nodes.mcp(0).changed.resource('test://7')
  expect((await long.nextMessage()).message).toMatchObject({ params: { uri: 'test://7' } })
  expect((await call.messages()).at(-1)).toMatchObject({ result: {} })
})

test('what a client says of itself is bounded', async () => {
  await using nodes = await start({ count: 1 })
  const client = new Alone(nodes)
  for (const meta of [
    { [META.clientInfo]: { name: 'x'.repeat(100_000), version: '1' } },
    { [META.clientCapabilities]: { experimental: { x: 'x'.repeat(100_000) } } },
  ]) {
    await expectRefused(await client.request('server/discover', {}, { meta }), 413)
    await expectRefused(await client.request('tools/call', { name: 'echo', arguments: {} }, { meta }), 413)
  }
  expect(nodes.made).toHaveLength(0)
})

test('many that begin to listen at once are as many as one caller may have', async () => {
  await using nodes = await start({ count: 1, settings: { maxOpenStreams: 2 } })
  const client = new Alone(nodes)
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => listening(client, { toolsListChanged: true }, { who: 'ann/1' })),
  )
  const open = answers.filter(({ status }) => status === 200)
  expect(open).toHaveLength(2)
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(18)
  for (const answer of answers) await answer.body?.cancel()
})

test('a server with sessions is not asked for more resources than are listened to', async () => {
  await using nodes = await start({ count: 1, host: 'upstream' })
  const client = new Alone(nodes)
  const resourceSubscriptions = Array.from({ length: 3000 }, (_, n) => `test://${n}/${'x'.repeat(40)}`)
  await expectRefused(await listening(client, { resourceSubscriptions }), 413)
  const subscribes = nodes.upstream!.requests.filter(({ body }) => body.includes('resources/subscribe'))
  expect(subscribes).toHaveLength(0)
})

test('what is of a session is read, answered and cancelled in it only', async () => {
  await using nodes = await start()
  const session = await Session.begin(nodes)
  await using stream = await session.call('wait', { gate: 'g' })
  const { id = '' } = (await stream.next()) ?? {}
  const client = new Alone(nodes)
  await expectRefused(await client.get(`${session.id}:${id}`), 404, -32001)
  const [callId, entry] = id.split('.')
  const requestState = `${session.id}:${callId}.${entry}`
  const again = { name: 'wait', arguments: { gate: 'g' }, requestState }
  const refused = await client.request('tools/call', again)
  expect(await refused.json()).toMatchObject({ error: { data: { reason: 'invalid_request_state' } } })
  nodes.world.gates.open('g')
  expect(await stream.messages()).toMatchObject([{ result: {} }])
})

test('what was listened to too long ago says what to do', async () => {
  await using nodes = await start()
  const client = new Alone(nodes)
  await using stream = await expectStream(await listening(client, { toolsListChanged: true }))
  const { id = '' } = await stream.nextMessage()
  const { error } = await expectRefused(await client.get(id.replace(/\d+-\d+/, '1-1')), 410)
  expect(error.message).toContain('Send the request again')
  const { error: none } = await expectRefused(await client.get(undefined), 405)
  expect(none.message).toContain('POST')
})

test('tools that each call adds leave no more server objects than there may be', async () => {
  let there = 0
  const server = () => {
    const made = new McpServer({ name: 'adds', version: '1' })
    there++
    const close = made.close.bind(made)
    made.close = async () => {
      there--
      await close()
    }
    made.registerTool('add', {}, () => {
      made.registerTool('added', {}, () => ({ content: [] }))
      return { content: [] }
    })
    return made
  }
  await using nodes = await start({ count: 1, settings: { server, maxServers: 3 } })
  const client = new Alone(nodes)
  for (let n = 0; n < 10; n++) {
    await using stream = await client.call('add')
    expect((await stream.messages()).at(-1)).toMatchObject({ result: {} })
  }
  expect(there).toBeLessThanOrEqual(3)
})

test.each(['v1', 'v2'] as const)('what a client says wrongly of itself is its fault, SDK %s', async (sdk) => {
  await using nodes = await start({ count: 1, sdk })
  const client = new Alone(nodes)
  for (const wrong of [{}, { name: 5, version: '1' }, { name: 'x' }])
    for (const method of ['server/discover', 'tools/list'])
      await expectRefused(
        await client.request(method, {}, { meta: { [META.clientInfo]: wrong } }),
        400,
        -32602,
      )
  for (const wrong of [{ elicitation: 5 }, { experimental: [] }, { roots: { listChanged: 'yes' } }]) {
    const meta = { [META.clientCapabilities]: wrong }
    const { error } = await expectRefused(await client.request('tools/list', {}, { meta }), 400, -32602)
    expect(error.message).not.toContain('\n')
  }
})

test('a request of a session that names its version is one of the session', async () => {
  await using nodes = await start({ count: 1 })
  const session = await Session.begin(nodes)
  const _meta = { [META.protocolVersion]: LATEST }
  const call = { name: 'say', arguments: { count: 1 }, _meta }
  await using stream = await expectStream(await session.request('tools/call', call))
  const [said, response] = await stream.messages()
  expect(said).toMatchObject({ method: 'notifications/message' })
  expect((response as unknown as { result: object }).result).not.toHaveProperty('resultType')
})
