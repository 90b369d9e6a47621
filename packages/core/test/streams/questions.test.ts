import { describe, expect, test } from 'vitest'
import { SDKS, startNodes, SYSTEMS } from '../support/nodes.js'
import type { EventReader } from '../support/event-reader.js'
import { Session, textOf } from '../support/session.js'
import type { HostKind } from '../support/wrapped.js'
import type { JsonRpcRequest } from '../../src/json-rpc.js'
import { waitFor } from '../../../../test-support/index.js'

const CASES = SYSTEMS.flatMap((system) => SDKS.map((sdk) => ({ ...system, sdk })))
const roots = (name: string) => ({ roots: [{ uri: `file:///${name}` }] })
const question = async (stream: EventReader) => (await stream.nextMessage()).message as JsonRpcRequest

/** Of a server behind HTTP it can’t be seen to which call a question belongs that is not related to one. */
const relatedOn = (host: HostKind) => (host === 'server' ? [true, false] : [true])

describe.each(CASES)('questions to the client, $store, $host, server $sdk', ({ store, host, sdk }) => {
  test('of both nodes at once: their ids differ, and each gets its own answer', async () => {
    await using nodes = await startNodes({ store, host, sdk })
    const session = await Session.begin(nodes)
    const calls = await Promise.all(
      Array.from({ length: 6 }, (_, node) =>
        session.call('ask', { question: 'roots', related: true }, { node: node % 2 }),
      ),
    )
    const ids = await Promise.all(calls.map(async (call) => (await question(call)).id))
    expect(new Set(ids).size).toBe(6)
    for (const [n, id] of ids.entries()) await session.answer(id, roots(`${n}`), { node: (n + 1) % 2 })
    for (const [n, call] of calls.entries()) {
      expect((await call.messages()).map(textOf)).toEqual([JSON.stringify(roots(`${n}`))])
    }
  })

  test.each(relatedOn(host))('in a call they come on its stream (related: %s)', async (related) => {
    await using nodes = await startNodes({ store, host, sdk })
    const session = await Session.begin(nodes)
    await using standalone = await session.stream()
    await using call = await session.call('ask', { question: 'elicitation', related })
    const asked = await question(call)
    expect(asked.method).toBe('elicitation/create')
    await session.answer(asked.id, { action: 'decline' }, { node: 1 })
    expect((await call.messages()).map(textOf)).toEqual(['{"action":"decline"}'])
    expect(standalone.seen.filter(({ data }) => data !== '')).toEqual([])
  })

  test('outside any call they wait on the standalone stream, and are answered at any node', async () => {
    await using nodes = await startNodes({ store, host, sdk })
    const session = await Session.begin(nodes)
    const ask = () => [1, 2].map(() => nodes.world.speaker(nodes.servers[0]!).ask('roots'))
    // An upstream is heard while the client has a stream.
    const early = host === 'upstream' ? [] : ask()
    await using stream = await session.stream(undefined, { node: 1 })
    const answers = host === 'upstream' ? ask() : early
    const asked = [await question(stream), await question(stream)]
    for (const [n, { id }] of asked.entries()) await session.answer(id, roots(`${n}`), { node: 1 })
    expect(await Promise.all(answers)).toMatchObject([roots('0'), roots('1')])
  })

  test('an error is an answer', async () => {
    await using nodes = await startNodes({ store, host, sdk })
    const session = await Session.begin(nodes)
    await using call = await session.call('ask', { question: 'roots', related: true })
    const { id } = await question(call)
    const error = { code: -1, message: 'the user is out' }
    expect((await session.post({ jsonrpc: '2.0', id, error }, { node: 1 })).status).toBe(202)
    expect(JSON.stringify(await call.messages())).toContain('the user is out')
  })

  test.each(relatedOn(host))('progress of the client reaches the handler (related: %s)', async (related) => {
    await using nodes = await startNodes({ store, host, sdk })
    const session = await Session.begin(nodes)
    await using call = await session.call('ask_slowly', { related })
    const { id, params } = await question(call)
    expect(params?._meta?.['progressToken']).toBe(id)
    for (const node of [0, 1]) {
      await session.notify('notifications/progress', { progressToken: id, progress: node + 1 }, { node })
      await nodes.world.happened.until(`client at ${node + 1}`)
    }
    await session.answer(
      id,
      { model: 'm', role: 'assistant', content: { type: 'text', text: 'hi' } },
      { node: 1 },
    )
    expect(textOf((await call.messages())[0])).toContain('hi')
  })

  test.each(relatedOn(host))(
    'one that is given up is withdrawn under its own id (related: %s)',
    async (related) => {
      await using nodes = await startNodes({ store, host, sdk })
      const session = await Session.begin(nodes)
      await using call = await session.call('ask_briefly', { related })
      const { id } = await question(call)
      const [withdrawal, result] = await call.messages()
      expect(withdrawal).toMatchObject({ method: 'notifications/cancelled', params: { requestId: id } })
      expect(textOf(result)).toBe('gave up')
      await session.answer(id, roots('late'), { node: 1 })
    },
  )

  test('an answer of another session is none', async () => {
    await using nodes = await startNodes({ store, host, sdk })
    const [mine, other] = [await Session.begin(nodes), await Session.begin(nodes)]
    await using call = await mine.call('ask', { question: 'roots', related: true })
    const { id } = await question(call)
    for (const node of [0, 1]) await other.answer(id, roots('wrong'), { node })
    await mine.answer(id, roots('right'), { node: 1 })
    expect((await call.messages()).map(textOf)).toEqual([JSON.stringify(roots('right'))])
  })

  test('a handler that is cancelled and does not listen can’t do harm by what it sends', async () => {
    await using nodes = await startNodes({ store, host, sdk })
    const session = await Session.begin(nodes)
    await using call = await session.call('deaf', { gate: 'g' }, { id: 1 })
    await nodes.world.happened.until('started g')
    await session.notify('notifications/cancelled', { requestId: 1 }, { node: 1 })
    expect(await call.messages()).toEqual([])
    await nodes.world.happened.until('heard g')
    nodes.world.gates.open('g')
    await waitFor(() => nodes.world.happened.all.some((name) => name.endsWith('sent, aborted: true')))
    // It must not fail: a handler that does not wait for it would end the process.
    expect(nodes.world.happened.all.at(-1)).toBe('sent, aborted: true')
  })
})
