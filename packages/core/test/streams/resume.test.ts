import { describe, expect, test } from 'vitest'
import { durableServer } from '../support/durable-server.js'
import { expectGone, expectNothingMore } from '../support/expect-stream.js'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import { dataOf, LATEST, Session, textOf } from '../support/session.js'
import { Happenings } from '../support/world.js'
import { waitFor } from '../../../../test-support/index.js'

describe.each(SYSTEMS)('resuming the stream of a call, $store, $host', ({ store, host }) => {
  test.each([LATEST, '2025-06-18'])(
    'from each event of a finished call, on any node (%s)',
    async (version) => {
      await using nodes = await startNodes({ store, host })
      const session = await Session.begin(nodes, { version })
      await using stream = await session.call('say', { count: 4 })
      const events = await stream.rest()
      for (const [index, { id }] of events.slice(0, -1).entries()) {
        for (const node of [0, 1]) {
          await using resumed = await session.stream(id, { node })
          if (version === LATEST) expect(await resumed.next()).toEqual({ event: undefined, id, data: '' })
          expect(await resumed.rest()).toEqual(events.slice(index + 1))
        }
      }
      for (const node of [0, 1]) await expectNothingMore(session, events.at(-1)?.id, node)
    },
  )

  test('from each event of a running call, on another node', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using stream = await session.call('say', { count: 3, gate: 'g' })
    await nodes.world.happened.until('started g')
    const before = [await stream.next(), await stream.next(), await stream.next(), await stream.next()]
    const resumed = await Promise.all(before.map((event) => session.stream(event?.id, { node: 1 })))
    nodes.world.gates.open('g')
    const all = [...before, ...(await stream.rest())]
    expect(all).toHaveLength(5)
    for (const [index, later] of resumed.entries()) {
      expect(await later.next()).toMatchObject({ id: all[index]?.id, data: '' })
      expect(await later.rest()).toEqual(all.slice(index + 1))
    }
  })

  test('after the connection broke, the call runs on and is not run twice', async () => {
    await using nodes = await startNodes({ store, host, adapter: 'node' })
    const session = await Session.begin(nodes)
    const stream = await session.call('wait', { gate: 'g' })
    const priming = await stream.next()
    await nodes.world.happened.until('started g')
    await stream[Symbol.asyncDispose]()
    await using resumed = await session.stream(priming?.id, { node: 1 })
    nodes.world.gates.open('g')
    expect((await resumed.messages()).map(textOf)).toEqual([`g on ${nodes.servers[0]}`])
    expect(nodes.world.happened.count('started g')).toBe(1)
  })

  test('a question is shown again with its id, and answered once on any node', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using stream = await session.call('ask', { question: 'roots', related: true })
    const priming = await stream.next()
    const { message: question } = await stream.nextMessage()
    await using resumed = await session.stream(priming?.id, { node: 1 })
    expect((await resumed.nextMessage()).message).toEqual(question)
    const { id } = question as { id: string }
    await session.answer(id, { roots: [{ uri: 'file:///first' }] }, { node: 1 })
    await session.answer(id, { roots: [{ uri: 'file:///second' }] }, { node: 0 })
    for (const each of [stream, resumed]) {
      expect((await each.messages()).map(textOf)).toEqual([
        JSON.stringify({ roots: [{ uri: 'file:///first' }] }),
      ])
    }
  })

  test('204 past an error response', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    const response = await session.request('tools/call', { name: 1 })
    const [end] = (await response.text()).match(/\S+\.end/) ?? []
    expect(end).toBeDefined()
    for (const node of [0, 1]) await expectNothingMore(session, end, node)
  })

  test('204 when all that follows is a cancellation', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using stream = await session.call('say', { count: 1, gate: 'g' }, { id: 1 })
    const priming = await stream.next()
    const said = await stream.next()
    await session.notify('notifications/cancelled', { requestId: 1 }, { node: 1 })
    expect(await stream.rest()).toEqual([])
    for (const node of [0, 1]) {
      await expectNothingMore(session, said?.id, node)
      await using resumed = await session.stream(priming?.id, { node })
      expect((await resumed.messages()).map(dataOf)).toEqual(['say 1'])
    }
  })

  test('410 when the journal has expired', async () => {
    await using nodes = await startNodes({ store, host, settings: { resumeWindowMs: 50 } })
    const session = await Session.begin(nodes)
    await using stream = await session.call('say', { count: 1 })
    const events = await stream.rest()
    for (const { id } of events) {
      await waitFor(async () => (await session.get(id, { node: 1 })).status === 410)
      await expectGone(session, id)
    }
  })

  test('410 for what no stream of this session has ever sent', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    const other = await Session.begin(nodes)
    await using mine = await session.call('say', { count: 1 })
    await using foreign = await other.call('say', { count: 1 })
    await using standalone = await other.stream()
    await other.result('tell', { count: 1 })
    await standalone.nextMessage()
    const [{ id = '' } = {}] = await mine.rest()
    const [call = '', entry = ''] = id.split('.')
    const never = 'A'.repeat(22)
    const foreignIds = [...(await foreign.rest()), ...standalone.seen.slice(1)].map((event) => event.id)
    const made = [
      `${never}.${entry}`,
      `${never}.0-0`,
      `${never}.0-0.end`,
      `${call}.9999999999999-1`,
      `out.1-1`,
    ]
    for (const cursor of [...foreignIds, ...made, `out.${entry}`]) {
      for (const node of [0, 1]) await expectGone(session, cursor, node)
    }
  })
})

test('a call that has ended behind more steps than one page of its journal is over for who comes back', async () => {
  const happened = new Happenings()
  const server = () =>
    durableServer(async (ctx) => {
      for (let n = 0; n < 70; n++) await ctx.atLeastOnce(`step ${n}`, () => n)
      happened.add('asleep')
      await ctx.sleep('nap', 60_000)
      return ''
    })
  await using nodes = await startNodes({ count: 1, settings: { server } })
  const session = await Session.begin(nodes)
  await using stream = await session.call('work', { text: '' }, { id: 'long' })
  const priming = await stream.next()
  await happened.until('asleep')
  await session.notify('notifications/cancelled', { requestId: 'long' })
  expect(await stream.messages()).toEqual([])
  const resumed = await session.get(priming?.id)
  await resumed.body?.cancel()
  expect(resumed.status).toBe(204)
})
