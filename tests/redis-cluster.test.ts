import { sessionIdOf } from '@mcp-durable/core'
import { Redis, type Cluster } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startRedisCluster, waitFor, type RedisCluster } from '../test-support/index.js'
import { majors, type TestClient } from './support/client.js'
import { System } from './support/system.js'

// A real Redis Cluster of three masters with a replica each, and two nodes.

const SESSIONS = 12
/** Other masters go on while one fails over; by default the whole Cluster stops until every slot is served again. */
const PARTIAL = ['cluster-require-full-coverage', 'no'] as const

let redis: RedisCluster
let keys: Cluster
let system: System
beforeAll(async () => {
  redis = await startRedisCluster({ masters: 3, replicas: 1 })
  await Promise.all(redis.servers.map(({ url }) => configure(url)))
  keys = redis.client()
  system = await System.start({ nodes: 2, cluster: redis.nodes })
})
afterAll(async () => {
  await system[Symbol.asyncDispose]()
  await redis[Symbol.asyncDispose]()
})

test('[R-3] [R-4] sessions on all masters, through a fail-over of one', async () => {
  const clients = await sessionsOnAllMasters()
  const masters = await mastersOf(clients.map(({ sessionId }) => sessionIdOf(sessionId)))

  // Every session works end to end, its parties on both nodes.
  await Promise.all(clients.map((client, index) => useEverything(client, `before-${index}`)))
  await replicated()

  // Of all masters the one that the nodes beat at.
  const lost = (await mastersOf(['nodes'])).get('nodes')
  const affected = clients.filter((client) => masters.get(sessionIdOf(client.sessionId)) === lost)
  const others = clients.filter((client) => masters.get(sessionIdOf(client.sessionId)) !== lost)
  const loads = others.map((client) => system.load(client, ['effect', 'say', 'announce'], 1))
  await Promise.all(loads.map((load) => load.progress(3)))

  await redis.killMaster(`${system.prefix}:{nodes}`)
  const back = Promise.all(affected.map((client) => serviceResumes(client)))
  await Promise.all(loads.map((load) => load.progress(10)))
  await back
  await Promise.all(loads.map((load) => load.progress(3)))
  await Promise.all(loads.map((load) => load.stop()))

  expect(loads.flatMap(({ failed }) => failed)).toEqual([])
  for (const load of loads) {
    for (const { name } of load.succeeded.filter(({ tool }) => tool !== 'effect'))
      await load.client.hears(name)
  }
  await Promise.all(clients.map((client, index) => useEverything(client, `after-${index}`)))
  const added = await sessionAcrossNodes(0)
  await useEverything(added, 'begun after')
})

/** Their ids are random, and say which master serves them: it takes as many as it takes, hardly ever more than twice so many. */
async function sessionsOnAllMasters(): Promise<TestClient[]> {
  const clients: TestClient[] = []
  const served = new Set<string>()
  while (clients.length < SESSIONS || served.size < 3) {
    const client = await sessionAcrossNodes(clients.length)
    clients.push(client)
    for (const master of (await mastersOf([sessionIdOf(client.sessionId)])).values()) served.add(master)
  }
  return clients
}

/** A client whose calls are on one node, and whose streams and answers are on the other. */
async function sessionAcrossNodes(index: number): Promise<TestClient> {
  const [a, b] = index % 2 === 0 ? system.abc : system.abc.toReversed()
  const router = (await system.router(a!)).route(b!, 'GET', 'resume', 'answer')
  return (await system.client(majors[index % 2]!, router)).listens()
}

async function useEverything(client: TestClient, name: string) {
  expect(await client.call('add', { a: 2, b: 3 })).toMatchObject({ text: '5' })
  expect((await client.call('ask')).text).toContain('accept')
  await client.call('announce', { text: name })
  await client.hears(name)
  const since = client.tap.events.items.length
  const slow = client.call('say', { texts: [`${name} resumed`], gate: name })
  const { id } = await client.primed(since)
  await waitFor(async () => (await system.ledger('at the gate', name)).length === 1)
  client.router.cut('tools/call')
  await client.tap.events.first(({ after }) => after === id)
  await system.openGate(name)
  expect(await slow).toMatchObject({ text: `${name} resumed` })
}

/** Which master serves the keys with each of these hash tags. */
async function mastersOf(tags: readonly string[]): Promise<Map<string, string>> {
  const [node] = keys.nodes('master')
  const ranges = await node!.cluster('SLOTS')
  const pairs = tags.map(async (tag) => {
    const slot = await node!.cluster('KEYSLOT', `{${tag}}`)
    const range = ranges.find(([from, to]) => from <= slot && slot <= to)
    return [tag, String(range?.[2]?.[1])] as const
  })
  return new Map(await Promise.all(pairs))
}

/** What was acknowledged is on the replicas too, so that the fail-over can't lose it. */
async function replicated() {
  await Promise.all(keys.nodes('master').map((master) => master.wait(1, 5_000)))
}

async function serviceResumes(client: TestClient) {
  await waitFor(async () => (await client.call('who')).pid > 0, { what: 'the fail-over' })
}

async function configure(url: string) {
  const admin = new Redis(url)
  await admin.config('SET', ...PARTIAL)
  admin.disconnect()
}
