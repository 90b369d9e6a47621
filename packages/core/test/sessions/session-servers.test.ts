import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { SDKS, startNodes, SYSTEMS } from '../support/nodes.js'
import { dataOf, expectJson, expectRefused, initialize, Session } from '../support/session.js'
import { slowStore } from '../support/slow-store.js'
import { waitFor } from '../../../../test-support/index.js'

const CASES = SYSTEMS.flatMap((system) => SDKS.map((sdk) => ({ ...system, sdk })))
const uri = 'test://static'

describe.each(CASES)('server objects, $store, $host, server $sdk', ({ store, host, sdk }) => {
  // A server behind HTTP has sessions of its own, and knows of ours what a client tells.
  test.skipIf(host !== 'server')(
    '[U-7] one for each session and node, made with what is known of the client',
    async () => {
      await using nodes = await startNodes({ store, host, sdk })
      const session = await Session.begin(nodes, { who: 'alice/1' })
      const calls = Array.from({ length: 20 }, (_, n) =>
        session.result('echo', { text: `${n}` }, { node: n % 2 }),
      )
      await Promise.all(calls)
      const expected = {
        sessionId: session.id,
        clientInfo: { name: 'raw', version: '1' },
        principal: 'alice',
      }
      expect(nodes.made).toMatchObject(['node-0', 'node-1'].map((node) => ({ node, session: expected })))
    },
  )

  test.skipIf(host !== 'server')('the handler sees the session’s id, everywhere', async () => {
    await using nodes = await startNodes({ store, host, sdk })
    const session = await Session.begin(nodes)
    for (const node of [0, 1]) {
      expect(JSON.parse(await session.result('who', {}, { node }))).toMatchObject({ sessionId: session.id })
    }
  })

  test('a rebuilt one has log level and subscriptions, and goes on to notice changes', async () => {
    await using nodes = await startNodes({ store, host, sdk })
    const session = await Session.begin(nodes)
    await using stream = await session.stream()
    const set = async (method: string, params: object, node: number) =>
      expect(await expectJson(await session.request(method, params, { node }))).toMatchObject({ result: {} })
    await set('logging/setLevel', { level: 'error' }, 0)
    await set('resources/subscribe', { uri }, 0)
    await set('resources/subscribe', { uri: 'test://other' }, 0)
    await set('resources/unsubscribe', { uri: 'test://other' }, 0)
    expect(await session.result('touch', { uri }, { node: 1 })).toBe('updated')
    expect(await session.result('touch', { uri: 'test://other' }, { node: 1 })).toBe('not subscribed')
    await session.result('log', { level: 'info' }, { node: 1 })
    await set('logging/setLevel', { level: 'info' }, 1)
    await set('resources/unsubscribe', { uri }, 1)
    await session.result('log', { level: 'info' }, { node: 0 })
    expect(await session.result('touch', { uri }, { node: 0 })).toBe('not subscribed')
    const [updated, logged] = [await stream.nextMessage(), await stream.nextMessage()]
    expect([updated.message, logged.message]).toMatchObject([
      { params: { uri } },
      { params: { data: 'log info' } },
    ])
  })

  // An upstream outlives all that stands for it here.
  test.skipIf(host === 'upstream')('oninitialized runs once for each', async () => {
    await using nodes = await startNodes({ store, host, sdk })
    const session = await Session.begin(nodes, { node: 0 })
    await nodes.world.happened.until('initialized on node-0')
    for (let n = 0; n < 4; n++) await session.result('echo', { text: '' }, { node: n % 2 })
    await nodes.world.happened.until('initialized on node-1')
    expect(nodes.world.happened.all).toEqual(['initialized on node-0', 'initialized on node-1'])
  })

  test.skipIf(host === 'upstream')('an idle one goes while its stream stays open and delivers', async () => {
    await using nodes = await startNodes({ store, host, sdk, settings: { serverIdleMs: 100 } })
    const session = await Session.begin(nodes)
    await using stream = await session.stream()
    const rebuilt = () => nodes.made.length
    await waitFor(
      async () => {
        await nodes.mcp(1).notify(session.id, { method: 'notifications/tools/list_changed' })
        // A node without a server object makes one for the next request.
        return (await session.result('echo', { text: '' })) === '' && rebuilt() >= 2
      },
      { intervalMs: 250 },
    )
    expect((await stream.nextMessage()).message).toMatchObject({ method: 'notifications/tools/list_changed' })
    await session.result('tell', { count: 1 })
    for (;;) if (dataOf((await stream.nextMessage()).message) === 'tell 1') break
  })

  test.skipIf(host === 'upstream')('a busy one stays', async () => {
    await using nodes = await startNodes({ store, host, sdk, settings: { serverIdleMs: 50 } })
    const session = await Session.begin(nodes)
    const idle = await Session.begin(nodes)
    await using call = await session.call('wait', { gate: 'g' })
    await nodes.world.happened.until('started g')
    await waitFor(async () => (await idle.request('ping')).ok && nodes.made.length >= 3, { intervalMs: 150 })
    nodes.world.gates.open('g')
    expect(await call.messages()).toHaveLength(1)
  })

  test.skipIf(host === 'upstream')(
    '[S-8] no more than maxServers: the one unused for longest goes, and a single one is enough',
    async () => {
      await using nodes = await startNodes({ store, host, sdk, count: 1, settings: { maxServers: 1 } })
      const one = await Session.begin(nodes)
      const other = await Session.begin(nodes)
      for (const session of [one, other, one, other]) {
        expect(await session.result('echo', { text: session.id })).toBe(session.id)
      }
      expect(nodes.made.length).toBeGreaterThan(2)
    },
  )

  test.skipIf(host === 'upstream')('when room is needed, one that was used stays', async () => {
    // What comes in one millisecond comes one after the other all the same.
    const { now } = Date
    const stands = vi.spyOn(Date, 'now').mockReturnValue(now())
    onTestFinished(() => stands.mockRestore())
    await using nodes = await startNodes({ store, host, sdk, count: 1, settings: { maxServers: 3 } })
    const sessions = []
    for (let n = 0; n < 3; n++) sessions.push(await Session.begin(nodes))
    const [used, unused, other] = sessions
    const madeBy = async (session: Session | undefined) => {
      const before = nodes.made.length
      expect(await session?.result('echo', { text: 'here' })).toBe('here')
      return nodes.made.length - before
    }
    expect(await madeBy(used)).toBe(0)
    await Session.begin(nodes)
    expect([await madeBy(used), await madeBy(other), await madeBy(unused)]).toEqual([0, 0, 1])
  })

  test('a single one is enough for a session from another node', async () => {
    await using nodes = await startNodes({ store, host, sdk, settings: { maxServers: 1 } })
    const session = await Session.begin(nodes)
    expect(await session.result('echo', { text: 'moved' }, { node: 1 })).toBe('moved')
  })

  test('maxServers all at work: new sessions wait, and old ones get an answer', async () => {
    await using nodes = await startNodes({ store, host, sdk, count: 1, settings: { maxServers: 1 } })
    const other = await Session.begin(nodes)
    const busy = await Session.begin(nodes)
    await using call = await busy.call('wait', { gate: 'g' })
    await nodes.world.happened.until('started g')
    const refused = await initialize(nodes)
    expect(refused.headers.get('retry-after')).toBe('1')
    await expectRefused(refused, 503)
    await expectRefused(await other.request('ping'), 503)
    expect(await other.result('echo', { text: '' })).toContain('error')
    nodes.world.gates.open('g')
    expect(await call.messages()).toHaveLength(1)
    expect(await other.result('echo', { text: 'back' })).toBe('back')
  })

  test('deleting a session ends its streams, calls and handlers on other nodes', async () => {
    await using nodes = await startNodes({ store, host, sdk })
    const session = await Session.begin(nodes)
    await using call = await session.call('wait', { gate: 'g' }, { node: 1 })
    await using standalone = await session.stream(undefined, { node: 1 })
    await nodes.world.happened.until('started g')
    expect((await session.delete()).status).toBe(200)
    expect(await call.messages()).toEqual([])
    expect(await standalone.messages()).toEqual([])
    await nodes.world.happened.until('aborted g')
  })
})

test.each(['watch', 'readState'] as const)(
  'one that idles while %s takes long is not used after it went',
  async (operation) => {
    const settings = { serverIdleMs: 50 }
    await using nodes = await startNodes({ settings, wrap: (own) => slowStore(own, { [operation]: 300 }) })
    const session = await Session.begin(nodes)
    for (const node of [1, 0, 1]) {
      expect(await session.result('echo', { text: 'ran' }, { node })).toBe('ran')
      await session.request('logging/setLevel', { level: 'error' }, { node: 0 })
    }
  },
)
