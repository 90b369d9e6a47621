import { describe, expect, test } from 'vitest'
import { startNodes, SYSTEMS } from '../support/nodes.js'
import type { Nodes } from '../support/nodes.js'
import { dataOf, expectJson, expectRefused, expectStream, Session, textOf } from '../support/session.js'
import type { StoreKind } from '../support/stores.js'
import type { HostKind } from '../support/wrapped.js'
import { Weather } from '../support/weather.js'
import { within } from '../support/within.js'
import { waitFor } from '../../../../test-support/index.js'

type Storm = AsyncDisposable & { nodes: Nodes; weather: Weather; session: Session }

async function start(system: { store: StoreKind; host: HostKind }): Promise<Storm> {
  const weather = new Weather()
  const settings = { reconcileEveryMs: 100 }
  const nodes = await startNodes({ ...system, wrap: (own) => weather.wrap(own), settings })
  // A node that has not heard what its server calls itself needs the store for more.
  await Session.begin(nodes, { node: 1 })
  const session = await Session.begin(nodes)
  return {
    nodes,
    weather,
    session,
    async [Symbol.asyncDispose]() {
      weather.fine()
      await nodes[Symbol.asyncDispose]()
    },
  }
}

/** So many that seconds have passed. */
const MANY = 8
const FAILURES = ['away', 'lost', 'stuck'] as const
/** To a host behind HTTP all failures of the store are one. */
const CASES = SYSTEMS.flatMap((system) =>
  FAILURES.filter((failure) => system.host === 'server' || failure === 'away').map((failure) => ({
    system,
    failure,
  })),
)

describe.concurrent.each(CASES)(
  'a call that runs while the store is $failure, $system.store, $system.host',
  ({ system, failure }) => {
    test('waits, and finishes when it is back; nothing is lost or repeated', async () => {
      await using storm = await start(system)
      const { weather, session, nodes } = storm
      await using stream = await session.call('wait', { gate: 'g' })
      await nodes.world.happened.until('started g')
      const failed = weather.untilFailed('appendCall')
      weather.set(failure)
      nodes.world.gates.open('g')
      await within(failed, 'a failed append')
      weather.fine()
      const [priming, ...events] = await stream.rest()
      expect(events.map(({ data }) => textOf(JSON.parse(data) as never))).toEqual([
        `g on ${nodes.servers[0]}`,
      ])
      await using resumed = await session.stream(priming?.id, { node: 1 })
      expect((await resumed.rest()).slice(1)).toEqual(events)
    })

    test('its messages wait as well, in their order', async () => {
      await using storm = await start(system)
      const { weather, session } = storm
      weather.set(failure, { only: ['appendCall'], times: 3 })
      await using stream = await session.call('say', { count: 5 })
      const messages = await stream.messages()
      expect(messages.slice(0, -1).map(dataOf)).toEqual([1, 2, 3, 4, 5].map((n) => `say ${n}`))
      expect(textOf(messages.at(-1))).toBe('said 5')
    })

    // An upstream is heard while the client has a stream.
    test.skipIf(system.host === 'upstream')('a standalone message comes once', async () => {
      await using storm = await start(system)
      const { weather, session } = storm
      weather.set(failure, { only: ['append'], times: 2 })
      expect(await session.result('tell', { count: 3 })).toBe('told 3')
      await using stream = await session.stream()
      for (const n of [1, 2, 3]) expect(dataOf((await stream.nextMessage()).message)).toBe(`tell ${n}`)
    })

    test('its question waits, and its answer is taken once', async () => {
      await using storm = await start(system)
      const { weather, session } = storm
      weather.set(failure, { only: ['append'], times: 2 })
      await using stream = await session.call('ask', { question: 'roots', related: true })
      const { message } = await stream.nextMessage()
      weather.fine()
      const answer = { jsonrpc: '2.0', id: (message as { id: string }).id, result: { roots: [] } }
      weather.set(failure)
      await expectRefused(await session.post(answer, { node: 1 }), 503)
      weather.fine()
      expect((await session.post(answer, { node: 1 })).status).toBe(202)
      expect((await stream.messages()).map(textOf)).toEqual(['{"roots":[]}'])
    })

    test('opening that failed leaves nothing that swallows the same call again', async () => {
      await using storm = await start(system)
      const { weather, session, nodes } = storm
      weather.set(failure, { only: ['openCall'], times: 1 })
      const params = { name: 'wait', arguments: { gate: 'g' } }
      await expectRefused(await session.request('tools/call', params, { id: 5 }), 503)
      expect(nodes.world.happened.all).not.toContain('started g')
      nodes.world.gates.open('g')
      // It may meet the first one before that is taken back, which is run for it then.
      expect(await session.result('wait', { gate: 'g' }, { id: 5, node: 1 })).toMatch(
        /^g on (node-[01]|upstream)$/,
      )
      expect(nodes.world.happened.count('started g')).toBe(1)
      await waitFor(async () => (await nodes.stores[0]!.findCalls(session.id, '')).length === 0)
    })

    test('it waits until its host can be rebuilt', async () => {
      await using storm = await start(system)
      const { weather, session } = storm
      weather.set(failure, { only: ['readSession'] })
      await using call = await session.call('echo', { text: 'ran' }, { node: 1 })
      await waitFor(() => weather.failed.length >= MANY)
      weather.fine()
      expect((await call.messages()).map(textOf)).toEqual(['ran'])
    })

    test('streams whose reads fail go on', async () => {
      await using storm = await start(system)
      const { weather, session, nodes } = storm
      await using stream = await session.call('say', { count: 2, gate: 'g' })
      const priming = await stream.next()
      await nodes.world.happened.until('started g')
      await using resumed = await session.stream(priming?.id, { node: 1 })
      weather.set(failure, { only: ['read'], times: 5 })
      nodes.world.gates.open('g')
      for (const each of [stream, resumed]) {
        const messages = await each.messages()
        expect(messages.slice(0, -1).map(dataOf)).toEqual(['say 1', 'say 2'])
        expect(textOf(messages.at(-1))).toBe('said 2')
      }
    })

    test('streams whose subscription failed at first hear of everything', async () => {
      await using storm = await start(system)
      const { weather, session, nodes } = storm
      await using stream = await session.call('say', { count: 1, gate: 'g' })
      const priming = await stream.next()
      await nodes.world.happened.until('started g')
      weather.set(failure, { only: ['watch'], times: 3 })
      await using resumed = await session.stream(priming?.id, { node: 1 })
      expect((await resumed.nextMessage()).message).toMatchObject({ params: { data: 'say 1' } })
      nodes.world.gates.open('g')
      expect((await resumed.messages()).map(textOf)).toEqual(['said 1'])
    })

    test('a call on a node whose subscription fails at first runs', async () => {
      await using storm = await start(system)
      const { weather, session } = storm
      weather.set(failure, { only: ['watch'], times: 3 })
      expect(await session.result('echo', { text: 'ran' }, { node: 1 })).toBe('ran')
    })

    test('a subscription that failed at first is good for all who come later', async () => {
      await using storm = await start(system)
      const { weather, session, nodes } = storm
      await using stream = await session.call('wait', { gate: 'g' })
      const priming = await stream.next()
      weather.set(failure, { only: ['watch'], times: 1 })
      // It stays open, and with it the subscription of its node.
      await using resumed = await session.stream(priming?.id, { node: 1 })
      await resumed.next()
      expect(weather.failed).toContain('watch')
      await waitFor(async () => (await session.get(undefined, { node: 1 })).status === 200)
      expect(await session.result('echo', { text: 'ran' }, { node: 1 })).toBe('ran')
      nodes.world.gates.open('g')
      expect(await resumed.messages()).toHaveLength(1)
    })

    test('a request that could not be journaled is still answered', async () => {
      await using storm = await start(system)
      const { weather, session, nodes } = storm
      const failed = weather.untilFailed('openCall')
      weather.set(failure, { only: ['openCall'], times: 1 })
      const response = session.request('prompts/get', { name: 'wait', arguments: { gate: 'g' } })
      await within(failed, 'a failed journal')
      nodes.world.gates.open('g')
      const answered = await response
      const json = answered.headers.get('content-type') === 'application/json'
      const [message] = json ? [await expectJson(answered)] : await (await expectStream(answered)).messages()
      expect(JSON.stringify(message)).toContain(`g on ${nodes.servers[0]}`)
    })

    test('a change of the session that was not stored is an error, and can be sent again', async () => {
      await using storm = await start(system)
      const { weather, session } = storm
      const subscribe = () => session.request('resources/subscribe', { uri: 'test://static' })
      weather.set(failure, { only: ['putState'] })
      expect(await expectJson(await subscribe())).toHaveProperty('error')
      weather.fine()
      expect(await expectJson(await subscribe())).toHaveProperty('result')
      expect(await session.result('touch', { uri: 'test://static' }, { node: 1 })).toBe('updated')
    })

    test('the node can be closed', async () => {
      const storm = await start(system)
      const { weather, session, nodes } = storm
      await using stream = await session.call('wait', { gate: 'g' })
      await nodes.world.happened.until('started g')
      weather.set(failure)
      await within(nodes.mcp(0).close({ graceMs: 50 }), 'closing', 15_000)
      expect(await stream.messages()).toEqual([])
      await storm[Symbol.asyncDispose]()
    })
  },
)

test.each(SYSTEMS)(
  'a call whose host can’t be rebuilt because the store refuses it ends with an error, $store, $host',
  async (system) => {
    await using storm = await start(system)
    const { weather, session } = storm
    weather.set('refused', { only: ['readSession'] })
    expect(await session.result('echo', { text: '' }, { node: 1 })).toMatch(/was not run/)
    weather.fine()
    expect(await session.result('echo', { text: 'again' }, { node: 1 })).toBe('again')
  },
)
