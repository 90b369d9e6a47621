import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { majors, systems, type TestClient } from './support/client.js'
import { RawSession } from './support/raw.js'
import { System } from './support/system.js'

// Part 5 of issue 2, towards the client: each row with its parties on different nodes. Routes name the node of each
// kind of request, so that nothing depends on luck, and every test checks that the requests really went there.

const news = (data: string) => ({ method: 'notifications/message', params: { level: 'info' as const, data } })

describe.each(systems)('[U-8] SDK %i.x, %s', (sdk, host) => {
  let system: System
  beforeAll(async () => void (system = await System.start({ sdk, host, nodes: 3 })))
  afterAll(() => system[Symbol.asyncDispose]())

  /** A client whose requests go to a, and whose streams after the first are on b. */
  async function clientOn(major: 1 | 2): Promise<TestClient> {
    const [a, b] = system.abc
    return system.client(major, (await system.router(a)).route(b, 'GET', 'resume'))
  }

  test.each(majors)('client %i.x: [X-1] to the standalone stream', async (major) => {
    const [a, b] = system.abc
    const client = await (await clientOn(major)).listens()

    const { pid } = await client.call('announce', { text: 'news' })
    await client.hears('news')

    expect(pid).toBe(system.toolsOf(a))
    expect(client.router.nodesOf('GET')).toEqual([b.name])
    expect(client.heard).toEqual(['news'])
  })

  test.each(majors)('client %i.x: [X-2] within a call, the client resumed elsewhere', async (major) => {
    const [a, b] = system.abc
    const client = await clientOn(major)
    const gate = `say-${major}`

    const saying = client.call('say', { texts: ['one', 'two', 'three'], gate })
    await client.primed()
    client.router.cut('tools/call')
    await client.router.answered('resume')
    await system.openGate(gate)

    expect(await saying).toEqual({ text: 'one two three', pid: system.toolsOf(a) })
    expect(client.router.nodesOf('resume')).toEqual([b.name])
    expect(client.heard).toEqual(['one', 'two', 'three'])
  })

  test.each(majors)('client %i.x: [X-8] tools/list_changed', async (major) => {
    const [a, b] = system.abc
    const client = await (await clientOn(major)).listens()

    const { pid } = await client.call('add-tool', { name: `new-${major}` })
    await client.notifications.first(({ method }) => method === 'notifications/tools/list_changed')

    expect(pid).toBe(system.toolsOf(a))
    expect(client.router.nodesOf('GET')).toEqual([b.name])
    expect(await client.api.listTools()).toContain(`new-${major}`)
  })

  test.each(majors)(
    'client %i.x: [X-10] [S-6] resource updated after subscribing elsewhere',
    async (major) => {
      const [a, b, c] = system.abc
      const client = await (await clientOn(major)).listens()
      client.router.route(c, 'resources/subscribe')

      await client.api.subscribe('test://greeting')
      const { text, pid } = await client.call('update-resource', { uri: 'test://greeting' })
      const updated = await client.notifications.first(
        ({ method }) => method === 'notifications/resources/updated',
      )

      expect([text, pid]).toEqual(['updated', system.toolsOf(a)])
      expect(updated.params).toEqual({ uri: 'test://greeting' })
      expect(client.router.nodesOf('GET')).toEqual([b.name])
      expect(client.router.nodesOf('resources/subscribe')).toEqual([c.name])
    },
  )

  test.each(majors)('client %i.x: [S-5] [S-10] the log level, set elsewhere', async (major) => {
    const [, , c] = system.abc
    const client = await (await clientOn(major)).listens()
    client.router.route(c, 'logging/setLevel')

    await client.call('log', { level: 'info', data: 'before' })
    await client.api.setLevel('error')
    await client.call('log', { level: 'warning', data: 'hidden' })
    await client.call('log', { level: 'error', data: 'shown' })
    await client.hears('shown')

    expect(client.heard).toEqual(['before', 'shown'])
    expect(client.router.nodesOf('logging/setLevel')).toEqual([c.name])
  })

  test.each(majors)('client %i.x: [X-11] mcp.notify on a third node', async (major) => {
    const [, , c] = system.abc
    const client = await (await clientOn(major)).listens()
    const notify = (sessionId: string) =>
      c.control({ do: 'notify', sessionId, notification: news('for you') })

    expect(await notify(client.sessionId)).toBe(true)
    expect(await notify('AAAAAAAAAAAAAAAAAAAAAA')).toBe(false)
    await client.hears('for you')
  })

  test('[X-12] mcp.broadcast reaches the clients of all nodes', async () => {
    const [a, b, c] = system.abc
    const clients = await Promise.all(
      [a, b].flatMap((node) => majors.map(async (major) => system.client(major, await system.router(node)))),
    )
    await Promise.all(clients.map((client) => client.listens()))

    const sent = await c.control({ do: 'broadcast', notification: news('for all') })
    await Promise.all(clients.map((client) => client.hears('for all')))

    expect(sent).toBeGreaterThanOrEqual(clients.length)
    for (const client of clients) expect(client.heard).toEqual(['for all'])
  })

  // An upstream is heard while the client has a stream.
  test.skipIf(host === 'upstream').each(majors)(
    'client %i.x: [X-13] what is sent without an open GET waits for the next one',
    async (major) => {
      const [a, b] = system.abc
      const router = (await system.router(a)).route(b, 'GET', 'resume')
      const open = router.hold('GET')
      const client = await system.client(major, router)

      await client.call('announce', { text: 'first' })
      await client.call('announce', { text: 'second' })
      open()
      await client.hears('second')
      const reopen = router.hold('resume')
      expect(router.cut('GET')).toBe(1)
      await new RawSession(client.sessionId).heardBy(b)
      await client.call('announce', { text: 'third' })
      reopen()
      await client.hears('third')

      expect(client.heard).toEqual(['first', 'second', 'third'])
      expect(router.nodesOf('GET', 'resume')).toEqual([b.name])
    },
  )

  test('[X-14] a newer GET replaces an older one on another node', async () => {
    const [a, b, c] = system.abc
    const session = await RawSession.begin(c)
    const older = await session.get(a)
    const newer = await session.get(b)
    expect(await older.ended).toBe('graceful')

    await c.control({ do: 'notify', sessionId: session.id, notification: news('to the newer') })
    await newer.events.first(({ data }) => data.includes('to the newer'))

    expect(older.messages).toEqual([])
    expect(newer.messages).toHaveLength(1)
    newer.close()
  })
})
