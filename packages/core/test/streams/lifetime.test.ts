import { describe, expect, test } from 'vitest'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import { Session, textOf } from '../support/session.js'

describe.each(SYSTEMS)('how long a stream lives, $store, $host', ({ store, host }) => {
  test('a handler ends its stream, and the client gets the rest where it comes back', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using stream = await session.call('hang_up', { gate: 'g' })
    const events = await stream.rest()
    expect(events.map(({ data }) => data)).toEqual([''])
    await using resumed = await session.stream(events[0]?.id, { node: 1 })
    expect((await resumed.next())?.id).toBe(events[0]?.id)
    nodes.world.gates.open('g')
    expect((await resumed.messages()).map(textOf)).toEqual([`g on ${nodes.servers[0]}`])
    expect(nodes.world.happened.count('started g')).toBe(1)
  })

  // A server behind HTTP ends a stream of its own, which is opened again; the client need not know.
  test.skipIf(host !== 'server')('a handler ends the standalone stream, which resumes', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes)
    await using stream = await session.stream()
    expect(await session.result('hang_up_standalone')).toBe('true')
    const [{ id } = {}] = await stream.rest()
    await session.result('tell', { count: 1 })
    await using resumed = await session.stream(id, { node: 1 })
    expect(JSON.stringify((await resumed.nextMessage()).message)).toContain('tell 1')
  })

  test('a client that could not come back is not hung up on', async () => {
    await using nodes = await startNodes({ store, host })
    const session = await Session.begin(nodes, { version: '2025-06-18' })
    await using stream = await session.call('hang_up', { gate: 'g' })
    await nodes.world.happened.until('started g')
    nodes.world.gates.open('g')
    expect((await stream.messages()).map(textOf)).toEqual([`g on ${nodes.servers[0]}`])
    expect(await session.result('hang_up_standalone')).toBe('false')
  })

  test('old streams end so that the client comes back, but not those that could not be resumed', async () => {
    await using nodes = await startNodes({ store, host, settings: { maxStreamAgeMs: 100, keepAliveMs: 100 } })
    const session = await Session.begin(nodes)
    const old = await Session.begin(nodes, { version: '2025-06-18' })
    await using kept = await old.call('wait', { gate: 'g' })
    await using call = await session.call('wait', { gate: 'g' })
    await using standalone = await session.stream(undefined, { node: 1 })
    const [[primed], [first]] = [await call.rest(), await standalone.rest()]
    expect([primed?.data, first?.data]).toEqual(['', ''])
    nodes.world.gates.open('g')
    expect(await untilResult(session, primed?.id)).toBe(`g on ${nodes.servers[0]}`)
    expect((await kept.messages()).map(textOf)).toEqual([`g on ${nodes.servers[0]}`])
  })

  test('[G-13] comments keep idle streams alive', async () => {
    await using nodes = await startNodes({ store, host, settings: { keepAliveMs: 50 } })
    const session = await Session.begin(nodes)
    await using call = await session.call('wait', { gate: 'g' })
    await using standalone = await session.stream(undefined, { node: 1 })
    await Promise.all([call.untilComments(3), standalone.untilComments(3)])
    nodes.world.gates.open('g')
    expect((await call.messages()).map(textOf)).toEqual([`g on ${nodes.servers[0]}`])
  })
})

/** Comes back as often as the server ends the stream. */
async function untilResult(session: Session, cursor: string | undefined): Promise<string> {
  for (;;) {
    await using resumed = await session.stream(cursor, { node: 1 })
    expect((await resumed.next())?.id).toBe(cursor)
    const [message] = await resumed.messages()
    if (message) return textOf(message)
  }
}
