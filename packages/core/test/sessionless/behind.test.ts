import { describe, expect, test } from 'vitest'
import { META } from '../../src/protocol.js'
import { Alone } from '../support/alone.js'
import { startNodes } from '../support/nodes.js'
import type { NodesOptions } from '../support/nodes.js'
import { expectJson, Session, textOf } from '../support/session.js'
import { waitFor } from '../../../../test-support/index.js'

// Before a handler or an upstream, in the version without sessions: each in the version that it speaks.

const QUICK = { heartbeatMs: 50, sweepMs: 50, leaseMs: 1000, retryMs: 20, upstreamGraceMs: 2000 }

const start = ({ settings, ...options }: NodesOptions = {}) =>
  startNodes({ ...options, settings: { eras: ['2025-11-25', '2026-07-28'], ...QUICK, ...settings } })

/** What stands behind the nodes. */
const BEHIND: [name: string, options: NodesOptions][] = (['handler', 'upstream'] as const).flatMap(
  (host): [string, NodesOptions][] => [
    [`${host} that speaks both`, { host, alone: 'besides sessions' }],
    [`${host} without sessions`, { host, alone: 'only' }],
    [`${host} with sessions, SDK 1.x`, { host, sdk: 'v1' }],
    [`${host} with sessions, SDK 2.x`, { host, sdk: 'v2' }],
  ],
)

const FORM = { [META.clientCapabilities]: { elicitation: { form: {} }, roots: {} } }

describe.each(BEHIND)('before a %s', (_name, options) => {
  test('a call is answered in the form of the version', async () => {
    await using nodes = await start(options)
    await using stream = await new Alone(nodes).call('echo', { text: 'hello' }, { id: 7 })
    expect((await stream.next())?.data).toBe('')
    expect(await stream.messages()).toMatchObject([
      {
        id: 7,
        result: {
          content: [{ text: 'hello' }],
          resultType: 'complete',
          _meta: { [META.serverInfo]: { name: 'fixture' } },
        },
      },
    ])
  })

  test('what it says before its answer comes with the token of the request', async () => {
    await using nodes = await start(options)
    const meta = { progressToken: 'p', [META.logLevel]: 'info' }
    await using stream = await new Alone(nodes).call('progress', { steps: 2 }, { meta })
    expect(await stream.messages()).toMatchObject([
      { params: { progressToken: 'p', progress: 1 } },
      { params: { progressToken: 'p', progress: 2 } },
      { result: { content: [{ text: 'done 2' }] } },
    ])
    await using said = await new Alone(nodes).call('say', { count: 1 }, { meta })
    expect(await said.messages()).toMatchObject([{ params: { data: 'say 1' } }, { result: {} }])
    await using quiet = await new Alone(nodes).call('say', { count: 1 })
    expect(await quiet.messages()).toMatchObject([{ result: {} }])
  })

  test('it says what it offers, lists and reads', async () => {
    await using nodes = await start(options)
    const client = new Alone(nodes)
    const discovered = await expectJson(await client.request('server/discover'), 200)
    expect(discovered).toMatchObject({
      result: {
        resultType: 'complete',
        supportedVersions: ['2026-07-28'],
        capabilities: { tools: {}, resources: {} },
        ttlMs: 0,
        cacheScope: 'private',
      },
    })
    expect(await expectJson(await client.request('tools/list'), 200)).toMatchObject({
      result: {
        resultType: 'complete',
        ttlMs: 0,
        tools: expect.arrayContaining([expect.objectContaining({ name: 'echo' })]),
      },
    })
    const read = await client.request('resources/read', { uri: 'test://static' })
    expect(await expectJson(read, 200)).toMatchObject({
      result: { resultType: 'complete', contents: [{ text: 'static text' }] },
    })
    const unknown = await client.request('resources/read', { uri: 'test://nowhere' })
    expect(await expectJson(unknown, 200)).toMatchObject({ error: { code: -32602 } })
    await expectJson(await client.request('no/such'), 404)
    expect(
      await expectJson(
        await client.request('prompts/get', { name: 'greet', arguments: { name: 'ada' } }),
        200,
      ),
    ).toMatchObject({ result: { resultType: 'complete', messages: [{ content: { text: 'Hello, ada' } }] } })
  })

  test('a call goes on with another stream, at another node', async () => {
    await using nodes = await start(options)
    const client = new Alone(nodes)
    await using stream = await client.call('wait', { gate: 'g' })
    const priming = await stream.next()
    await nodes.world.happened.until('started g')
    await using resumed = await client.stream(priming?.id, { node: 1 })
    nodes.world.gates.open('g')
    expect(textOf((await resumed.messages()).at(-1))).toBe(`g on ${nodes.servers[0]}`)
  })

  test('what only reads is run again when its node is gone, nothing else', async () => {
    await using nodes = await start(options)
    const client = new Alone(nodes)
    await using look = await client.call('look', { gate: 'l' })
    await using wait = await client.call('wait', { gate: 'w' })
    const [first, second] = [await look.next(), await wait.next()]
    await Promise.all([nodes.world.happened.until('started l'), nodes.world.happened.until('started w')])
    await nodes.mcp(0).close({ graceMs: 0 })
    // Where a session outlives the node, so does the call.
    const outlives = options.host === 'upstream' && !options.alone
    nodes.world.gates.open('l')
    if (outlives) nodes.world.gates.open('w')
    await using looked = await client.stream(first?.id, { node: 1 })
    await using waited = await client.stream(second?.id, { node: 1 })
    expect(textOf((await looked.messages()).at(-1))).toBe(`l on ${nodes.servers[1]}`)
    const [ended] = (await waited.messages()).slice(-1)
    expect(ended).toMatchObject({ result: { resultType: 'complete' } })
    expect(textOf(ended)).toMatch(outlives ? /w on upstream/ : /outcome is unknown/)
    expect(nodes.world.happened.count('started w')).toBe(1)
  })

  test('a client that closes the stream cancels the call', async () => {
    await using nodes = await start({ ...options, settings: { onDisconnect: 'cancel' } })
    await using stream = await new Alone(nodes).call('wait', { gate: 'g' })
    await stream.next()
    await nodes.world.happened.until('started g')
    await stream[Symbol.asyncDispose]()
    await nodes.world.happened.until('aborted g')
    expect(nodes.world.happened.count('passed g')).toBe(0)
  })

  test('nothing is left behind', async () => {
    await using nodes = await start(options)
    const client = new Alone(nodes)
    await using stream = await client.call('echo', { text: '' })
    await stream.messages()
    await (await client.request('tools/list')).text()
    await (await client.request('server/discover')).text()
    await waitFor(() => nodes.wrapped.every(({ sessions }) => sessions.size === 0))
  })
})

describe.each(BEHIND.filter(([, { alone }]) => !alone))('questions of a %s', (_name, options) => {
  test('are the result; the answer goes to who has asked, from any node', async () => {
    await using nodes = await start(options)
    const client = new Alone(nodes)
    const args = { question: 'roots', related: true }
    await using stream = await client.call('ask', args, { meta: FORM })
    const { result } = (await stream.messages()).at(-1) as unknown as {
      result: { resultType: string; inputRequests: object; requestState: string }
    }
    expect(result.resultType).toBe('input_required')
    const [[key, question] = ['', {}]] = Object.entries(result.inputRequests)
    expect(question).toMatchObject({ method: 'roots/list' })
    const more = { requestState: result.requestState, inputResponses: { [key]: { roots: [] } } }
    await using answered = await client.call('ask', args, { node: 1, meta: FORM, more })
    expect(textOf((await answered.messages()).at(-1))).toBe('{"roots":[]}')
  })
})

test.each(['v1', 'v2'] as const)(
  'a question of an upstream with sessions, SDK %s, outlives the node that passed it on',
  async (sdk) => {
    await using nodes = await start({ host: 'upstream', sdk })
    const client = new Alone(nodes)
    const args = { question: 'roots', related: true }
    await using stream = await client.call('ask', args, { meta: FORM })
    const { result } = (await stream.messages()).at(-1) as unknown as {
      result: { inputRequests: object; requestState: string }
    }
    await nodes.mcp(0).close({ graceMs: 0 })
    const [key = ''] = Object.keys(result.inputRequests)
    const more = { requestState: result.requestState, inputResponses: { [key]: { roots: [] } } }
    await using answered = await client.call('ask', args, { node: 1, meta: FORM, more })
    expect(textOf((await answered.messages()).at(-1))).toBe('{"roots":[]}')
    await waitFor(() => nodes.wrapped.every(({ sessions }) => sessions.size === 0))
  },
)

describe.each(['handler', 'upstream'] as const)('a client with a session, before a %s', (host) => {
  test('without any, hears that; before one that speaks both it is served', async () => {
    await using only = await start({ host, alone: 'only' })
    await expect(Session.begin(only)).rejects.toThrow()
    await using both = await start({ host, alone: 'besides sessions' })
    const session = await Session.begin(both)
    expect(await session.result('echo', { text: 'in a session' })).toBe('in a session')
  })
})
