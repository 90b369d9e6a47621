import { describe, expect, test } from 'vitest'
import { connect } from './support/clients.js'
import type { ConnectOptions, OfficialClient } from './support/clients.js'
import { SDKS, startNodes, SYSTEMS } from './support/nodes.js'
import type { Nodes } from './support/nodes.js'
import { Happenings } from './support/world.js'
import { waitFor } from '../../../test-support/index.js'
import type { DurableOptions } from '../src/index.js'

const CASES = SYSTEMS.flatMap((system) => SDKS.map((sdk) => ({ ...system, sdk })))
type Both = AsyncDisposable & { nodes: Nodes; client: OfficialClient; answered: Happenings }

// Real sockets; each request, each GET of a stream included, goes to the next of two nodes.
describe.each(CASES)('the official client $sdk when streams end, $store, $host', ({ store, host, sdk }) => {
  async function start(settings: Partial<DurableOptions> = {}, options: ConnectOptions = {}): Promise<Both> {
    const nodes = await startNodes({
      store,
      host,
      sdk: 'v2',
      adapter: 'node',
      settings: { retryMs: 10, ...settings },
    })
    const answered = new Happenings()
    const client = await connect(sdk, nodes, {
      ...options,
      onResponse: (method, status, cursor) =>
        answered.add(`${method} ${status}${cursor === null ? '' : ' resumed'}`),
    })
    return {
      nodes,
      client,
      answered,
      async [Symbol.asyncDispose]() {
        await client[Symbol.asyncDispose]()
        await nodes[Symbol.asyncDispose]()
      },
    }
  }

  const breakConnections = ({ endpoints }: Nodes) => {
    for (const { server } of endpoints) server?.closeAllConnections()
  }

  test('gracefully, by the handler: the result comes on the next one', async () => {
    await using both = await start()
    const { nodes, client, answered } = both
    const result = client.callTool('hang_up', { gate: 'g' })
    await answered.until('GET 200 resumed')
    nodes.world.gates.open('g')
    expect(await result).toMatch(/^g on/)
    expect(nodes.world.happened.count('started g')).toBe(1)
  })

  test('abruptly: the result comes on the next one, and the call has run once', async () => {
    await using both = await start()
    const { nodes, client } = both
    const events = new Happenings()
    const onresumptiontoken = () => events.add('event')
    const result = client.callTool('say', { count: 3, gate: 'g' }, { onresumptiontoken })
    // The priming event and three messages; then, each time, the cursor again. A client that gets none of it has no way back.
    for (const count of [4, 5, 6]) {
      await events.until('event', count)
      breakConnections(nodes)
    }
    await events.until('event', 7)
    nodes.world.gates.open('g')
    expect(await result).toBe('said 3')
    expect(nodes.world.happened.count('started g')).toBe(1)
  })

  test('while the user thinks: the question is asked once', async () => {
    let asked = 0
    let answer!: (content: unknown) => void
    const thinking = new Promise((resolve) => (answer = resolve))
    await using both = await start({}, { answers: { elicitation: () => (asked++, thinking) } })
    const { nodes, client, answered } = both
    const result = client.callTool('ask', { question: 'elicitation', related: true })
    await waitFor(() => asked === 1)
    breakConnections(nodes)
    await answered.until('GET 200 resumed')
    answer({ action: 'accept', content: { ok: false } })
    expect(JSON.parse(await result)).toMatchObject({ action: 'accept', content: { ok: false } })
    expect(asked).toBe(1)
  })

  test('again and again: what is sent to the session comes once and in order', async () => {
    await using both = await start({ maxStreamAgeMs: 60, keepAliveMs: 60 })
    const { nodes, client, answered } = both
    const id = client.sessionId ?? ''
    const data = () => client.notified.map(({ params }) => params?.['data'])
    const sent: number[] = []
    while (answered.count('GET 200 resumed') < 5) {
      sent.push(sent.length)
      const notification = {
        method: 'notifications/message',
        params: { level: 'info', data: sent.length - 1 },
      }
      expect(await nodes.mcp(sent.length % 2).notify(id, notification)).toBe(true)
      await waitFor(() => data().length >= sent.length)
    }
    expect(data()).toEqual(sent)
  })

  test('after an error response: nothing is resumed for ever', async () => {
    await using both = await start()
    const { client, answered } = both
    await expect(client.callTool('no_such_tool')).rejects.toThrow(/no_such_tool/)
    // The older client comes back once, and is told that nothing follows.
    if (sdk === 'v1') await answered.until('GET 204 resumed')
    expect(await client.callTool('echo', { text: 'on' })).toBe('on')
    expect(answered.count('GET 200 resumed')).toBe(0)
  })
})
