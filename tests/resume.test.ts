import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { majors, systems } from './support/client.js'
import { Deferred } from './support/deferred.js'
import { RawSession } from './support/raw.js'
import { System } from './support/system.js'

// Streams that break, and what a server can get wrong when an unmodified client comes back (facts.md, Clients).

describe.each(systems)('official clients, SDK %i.x, %s', (sdk, host) => {
  let system: System
  beforeAll(async () => void (system = await System.start({ sdk, host, nodes: 3 })))
  afterAll(() => system[Symbol.asyncDispose]())

  test.each(majors)('client %i.x: [C-13] a stream that breaks again before any message', async (major) => {
    const [a, b, c] = system.abc
    const router = (await system.router(a)).route(b, 'resume')
    const client = await system.client(major, router)
    const gate = `twice-${major}`

    const slow = client.call('slow', { gate })
    const { id: cursor } = await client.primed()
    router.cut('tools/call')
    await client.tap.events.first(({ after }) => after === cursor)
    router.route(c, 'resume').cut('resume')
    const resumed = await client.tap.events.atLeast(2, ({ after }) => after === cursor)
    await system.openGate(gate)

    expect(await slow).toEqual({ text: gate, pid: system.toolsOf(a) })
    expect(resumed.map(({ id, data }) => [id, data])).toEqual([
      [cursor, ''],
      [cursor, ''],
    ])
    expect(router.nodesOf('resume')).toEqual([b.name, c.name].toSorted())
    expect(client.timesSeen(gate)).toBe(1)
  })

  test.each(majors)(
    'client %i.x: [C-4] [C-6] [X-2] a long stream that breaks again and again',
    async (major) => {
      const [a, b, c] = system.abc
      const router = await system.router(a)
      const client = await system.client(major, router)
      router.route(a, 'tools/call').others(b, c, a).breakAfter(120, 'tools/call', 'resume')
      const count = 1000
      const steps: number[] = []

      const counted = await client.call('progress', { count }, { onprogress: (step) => steps.push(step) })

      expect(counted).toEqual({ text: String(count), pid: system.toolsOf(a) })
      expect(steps).toEqual(Array.from({ length: count }, (_, index) => index + 1))
      const resumes = router.exchanges.items.filter(({ kind }) => kind === 'resume')
      expect(resumes.length).toBeGreaterThanOrEqual(count / 120 - 1)
      expect(router.nodesOf('resume')).toEqual([a.name, b.name, c.name].toSorted())
    },
  )

  test.each(majors)('client %i.x: [C-14] a question that is pending is not asked again', async (major) => {
    const [a, b, c] = system.abc
    const router = (await system.router(a)).route(b, 'resume', 'answer')
    const client = await system.client(major, router)
    const answer = new Deferred<Record<string, unknown>>()
    client.answer = () => answer.promise

    const asking = client.call('ask')
    await client.questions.first(() => true)
    for (const [index, node] of [b, c, a].entries()) {
      router.route(node, 'resume').cut('tools/call', 'resume')
      // Each time the client must have an id before the connection breaks again, else it loses its place for good.
      await client.tap.events.atLeast(index + 1, ({ after }) => after !== undefined)
    }
    answer.resolve({ action: 'decline' })

    expect((await asking).text).toContain('decline')
    expect(client.questions.items).toHaveLength(1)
    expect(router.nodesOf('resume')).toEqual([a.name, b.name, c.name].toSorted())
  })

  test.each(majors)('client %i.x: [C-21] [C-8] an error response ends the stream for good', async (major) => {
    const [a, b] = system.abc
    const router = (await system.router(a)).route(b, 'resume')
    const client = await system.client(major, router)
    const resumes = () => router.exchanges.items.filter(({ kind }) => kind === 'resume')

    await expect(client.call('protocol-error')).rejects.toThrow('refused on purpose')
    // 1.x comes back after an error, whatever the server does; 204 must make it stop.
    if (major === 1) expect(await router.answered('resume')).toMatchObject({ status: 204, node: b.name })
    await client.call('who')

    expect(resumes()).toHaveLength(major === 1 ? 1 : 0)
  })

  test.each(majors)('client %i.x: [C-5] [C-6] the standalone stream', async (major) => {
    const [a, b, c] = system.abc
    const router = (await system.router(a)).route(b, 'GET').route(c, 'resume')
    const client = await (await system.client(major, router)).listens()

    await client.call('announce', { text: 'live' })
    await client.hears('live')
    const back = router.hold('resume')
    router.cut('GET')
    await client.call('announce', { text: 'missed' })
    back()
    await client.hears('missed')
    await client.call('announce', { text: 'live again' })
    await client.hears('live again')

    expect(client.heard).toEqual(['live', 'missed', 'live again'])
    expect(router.nodesOf('resume')).toEqual([c.name])
  })
})

describe('by hand', () => {
  test('[C-4] [C-7] [C-8] [C-13] from each event of a finished call, after its node was killed', async () => {
    await using system = await System.start({ nodes: 2 })
    const [a, b] = system.abc
    const session = await RawSession.begin(a)
    const texts = ['one', 'two', 'three', 'four', 'five']

    const stream = await session.call(a, 'say', { texts })
    // Other streams of the session, to be mixed up with.
    await Promise.all([
      session.call(a, 'say', { texts: ['other call'] }),
      session.call(a, 'announce', { text: 'out' }),
    ])
    expect(await stream.ended).toBe('graceful')
    const events = stream.events.items
    expect(events).toHaveLength(1 + texts.length + 1)
    await a.kill('SIGKILL')

    for (const [index, { id }] of events.slice(0, -1).entries()) {
      const resumed = await session.get(b, id)
      expect(await resumed.ended).toBe('graceful')
      expect(resumed.events.items).toEqual([{ id, data: '' }, ...events.slice(index + 1)])
    }
    expect((await session.get(b, events.at(-1)?.id)).status).toBe(204)
  })

  test('[C-4] [C-6] from each event of a call that runs, on another node, and on to its end', async () => {
    await using system = await System.start({ nodes: 2 })
    const [a, b] = system.abc
    const session = await RawSession.begin(a)
    const stream = await session.call(a, 'say-first', { texts: ['one', 'two', 'three'], gate: 'end' })
    const before = await stream.events.atLeast(4)

    const resumed = await Promise.all(before.map(({ id }) => session.get(b, id)))
    await system.openGate('end')
    await Promise.all([stream, ...resumed].map(({ ended }) => ended))

    const { items } = stream.events
    expect(items).toHaveLength(5)
    for (const [index, { events }] of resumed.entries()) {
      expect(events.items).toEqual([{ id: items[index]?.id, data: '' }, ...items.slice(index + 1)])
    }
  })
})
