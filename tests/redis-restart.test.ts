import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startRedis, waitFor } from '../test-support/index.js'
import { majors } from './support/client.js'
import { SessionKeys, type JournalRecord } from './support/journals.js'
import type { Load } from './support/load.js'
import { RawSession, type JsonRpc } from './support/raw.js'
import { System, type Node } from './support/system.js'

// Redis is killed (SIGKILL) and started again, with `appendfsync always`, while several clients are at work.

const CLIENTS = 4
const ping = { id: 'ping', method: 'ping' }

test('[R-1] [R-2] [G-15] [G-16] under load nothing acknowledged is lost', async () => {
  await using server = await startRedis({ aof: 'always' })
  await using system = await System.start({ redis: server.url, nodes: 2 })
  const [a, b] = system.abc
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, index) => {
      const client = await system.client(majors[index % 2]!, await system.router())
      return client.listens()
    }),
  )
  const raw = await RawSession.begin(a)
  const loads = clients.map((client) => system.load(client, ['effect', 'say', 'announce'], 3))

  for (const gate of ['first outage', 'second outage']) {
    await Promise.all(loads.map((load) => load.progress(20)))
    const running = clients.map((client) => client.call('say', { texts: [`during the ${gate}`], gate }))
    await waitFor(async () => (await system.ledger('at the gate', gate)).length === CLIENTS)

    await server.kill('SIGKILL')
    // The tools that wait at the gate send their messages now, while there is no store.
    await system.openGate(gate)
    for (const node of [a, b]) await expectRefusals(raw, node)
    await server.restart()

    for (const node of [a, b]) await waitFor(async () => (await raw.post(node, ping)).status === 200)
    expect((await Promise.all(running)).map(({ text }) => text)).toEqual(
      clients.map(() => `during the ${gate}`),
    )
    await Promise.all(loads.map((load) => load.progress(20)))
  }
  await Promise.all(loads.map((load) => load.stop()))

  const redis = new Redis(server.url)
  const effects = await system.ledger('effect')
  for (const load of loads) {
    await expectNothingLost(
      load,
      await new SessionKeys(redis, system.prefix, load.client.sessionId).journals(),
    )
    for (const { name } of load.succeeded.filter(({ tool }) => tool === 'effect')) {
      expect(effects.filter(({ detail }) => detail === name)).toHaveLength(1)
    }
    for (const { name, error } of load.failed) {
      expect(error).toMatch(/Service Unavailable|not run: its store was away/)
      expect(effects.filter(({ detail }) => detail === name)).toEqual([])
    }
  }
  redis.disconnect()
})

test(
  '[G-15] [G-16] what is in flight when the connection breaks is refused at once',
  { timeout: 15_000 },
  async () => {
    await using server = await startRedis({ aof: 'always' })
    // Whoever waits for the deadline fails the test.
    await using system = await System.start({
      redis: server.url,
      nodes: 1,
      storeOptions: { deadlineMs: 60_000 },
    })
    const [node] = system.abc
    const session = await RawSession.begin(node)

    server.pause()
    const inFlight = [
      session.post(node, ping),
      session.call(node, 'who'),
      session.get(node),
      RawSession.begin(node),
    ]
    const settled = Promise.allSettled(inFlight)
    // By then the node has sent the commands, which nobody answers.
    for (let times = 0; times < 3; times++) await node.control({ do: 'nothing' })
    await server.kill('SIGKILL')
    const [ping503, call503, stream503, begin503] = await settled

    for (const outcome of [ping503, call503, stream503])
      expect(outcome).toMatchObject({ value: { status: 503 } })
    expect(String((begin503 as PromiseRejectedResult).reason)).toContain('503')
    await server.restart()
    await waitFor(async () => (await session.post(node, ping)).status === 200)
    expect(await (await session.call(node, 'who')).ended).toBe('graceful')
  },
)

/** Every kind of request, while Redis is away. */
async function expectRefusals(session: RawSession, node: Node) {
  const refused = [
    await session.post(node, {
      id: 'call',
      method: 'tools/call',
      params: { name: 'effect', arguments: { name: 'no' } },
    }),
    await session.post(node, ping),
    await session.post(node, { method: 'notifications/roots/list_changed' }),
    await session.post(node, { id: 'no question', result: {} }),
    await session.delete(node),
  ]
  for (const response of refused) {
    expect([response.status, response.headers.has('retry-after')]).toEqual([503, true])
    const { error } = (await response.json()) as JsonRpc
    expect(error).toMatchObject({ code: -32000, message: expect.stringContaining('Try again') as string })
  }
  await expect(RawSession.begin(node)).rejects.toThrow('503')
  expect((await session.get(node)).status).toBe(503)
}

async function expectNothingLost(load: Load, journals: Map<string, JournalRecord[]>) {
  const { client, succeeded } = load
  const recorded = new Map<string, string>()
  for (const [callId, records] of journals) {
    for (const { id, message } of records) recorded.set(`${callId}.${id}`, JSON.stringify(message))
  }

  // Every event that the client saw is in the journal, as it was seen, and was seen once.
  const seen = client.tap.events.items.filter(
    ({ id, data }) => data !== '' && id?.startsWith('out.') === false,
  )
  for (const { id, data } of seen) expect(recorded.get(id!.replace('.end', ''))).toBe(data)
  expect(new Set(client.tap.ids).size).toBe(client.tap.ids.length)

  // Every result in a journal was delivered, and every one that was delivered is in a journal.
  const results = [...journals.values()]
    .flat()
    .filter(({ kind, message }) => kind === 'response' && 'result' in message)
  const texts = results.map(
    ({ message }) => (message['result'] as { content: { text: string }[] }).content[0]!.text,
  )
  const names = succeeded.map(({ name }) => name)
  expect(texts.filter((text) => !text.startsWith('during')).toSorted()).toEqual(names.toSorted())

  // Messages of calls and of the standalone stream: each once.
  for (const { name } of succeeded.filter(({ tool }) => tool !== 'effect')) {
    await client.hears(name)
    expect(client.heard.filter((text) => text === name)).toHaveLength(1)
  }
  expect(client.heard.filter((text) => String(text).startsWith('during'))).toHaveLength(2)
}
