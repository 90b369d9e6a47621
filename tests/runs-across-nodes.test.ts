import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runsOf } from '@mcp-durable/core/runs'
import type { CallPlace } from '@mcp-durable/core/runs'
import { redisStore } from '@mcp-durable/redis-store'
import type { Store } from '@mcp-durable/core'
import { Cluster, Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { spawnNode, startRedis, startRedisCluster, waitFor } from '../test-support/index.js'
import type { NodeProcess, RedisCluster, RedisServer } from '../test-support/index.js'
import { System } from './support/system.js'

// Acting on calls while the processes that run them are killed.

const META = 'io.modelcontextprotocol'
const VERSION = '2026-07-28'

type Begun = CallPlace & { ended: Promise<unknown> }

/** A call without a session; resolves when it is recorded. */
async function begin(node: NodeProcess, name: string, args: object = {}): Promise<Begun> {
  const _meta = {
    [`${META}/protocolVersion`]: VERSION,
    [`${META}/clientCapabilities`]: { elicitation: {} },
    [`${META}/clientInfo`]: { name: 'someone', version: '1' },
  }
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': VERSION,
    'mcp-method': 'tools/call',
    'mcp-name': name,
  }
  const params = { name, arguments: args, _meta }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })
  const response = await fetch(new URL('/mcp', node.url), { method: 'POST', headers, body })
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  const { value = '' } = await reader.read()
  const callId = /^id: ([\w-]{22})\./m.exec(value)?.[1] ?? ''
  const rest = async () => {
    while (!(await reader.read()).done);
  }
  return { scope: callId, callId, ended: rest().catch(() => undefined) }
}

async function recordsOf(store: Store, { scope, callId }: CallPlace): Promise<string[]> {
  return ((await store.read(scope, `call:${callId}`, '0-0', 1000)) ?? []).map(({ data }) => data)
}
const lastOf = async (store: Store, call: CallPlace) => (await recordsOf(store, call)).at(-1) ?? ''
const ends = (store: Store, call: CallPlace, as: 'response' | 'cancelled') =>
  waitFor(async () => (await lastOf(store, call)).startsWith(`${as} `), {
    what: `a ${as}`,
  })

describe('two nodes', () => {
  let redis: RedisServer
  let client: Redis
  let store: Store
  let folder: string
  beforeAll(async () => {
    redis = await startRedis()
    client = new Redis(redis.url)
    store = redisStore(client)
    folder = await mkdtemp(join(tmpdir(), 'mcp-durable-runs-'))
  })
  afterAll(async () => {
    await store.close()
    client.disconnect()
    await redis[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  /** Two nodes; what their tools do is in one file. */
  async function start(program: string, name: string): Promise<{ nodes: NodeProcess[] } & AsyncDisposable> {
    const args = ['--port', '0', '--redis', redis.url, '--ledger', join(folder, name)]
    const spawned = [1, 2].map(() => spawnNode(`examples/dist/${program}.js`, args))
    const nodes = await Promise.all(spawned)
    const end = async () => {
      await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()))
    }
    return { nodes, [Symbol.asyncDispose]: end }
  }
  const ledger = async (name: string) =>
    (await readFile(join(folder, name), 'utf8').catch(() => '')).split('\n').filter((line) => line !== '')
  const ownerOf = async ({ scope, callId }: CallPlace) => {
    const open = await store.listOpenCalls(scope)
    const owner = open.find((call) => call.callId === callId)?.owner
    const about = (await store.listNodes()).find(({ node }) => node === owner)?.about ?? '{}'
    return (JSON.parse(about) as { pid?: number }).pid
  }

  test('the node that runs a call which is done again is killed: another one ends it, each step once', async () => {
    await using pair = await start('everything', 'retried')
    const { nodes } = pair
    const args = { id: 'x', steps: 6, delayMs: 200 }
    const old = await begin(nodes[0]!, 'ledger_steps', args)
    await waitFor(async () => (await ledger('retried')).length > 0)
    const runs = runsOf(store, { by: 'ann' })
    await runs.cancel(old)
    await ends(store, old, 'cancelled')
    const before = (await ledger('retried')).length
    expect(before).toBeLessThan(args.steps)
    const { call } = await runs.retry(old)
    await waitFor(async () => (await ledger('retried')).length >= before + 2)
    const pid = await ownerOf(call)
    await nodes.find((node) => node.pid === pid)!.kill('SIGKILL')
    await ends(store, call, 'response')
    const done = (await ledger('retried')).slice(before).map((line) => line.split(' ')[2])
    expect(new Set(done)).toEqual(new Set(Array.from({ length: args.steps }, (_, n) => `step-${n + 1}`)))
    // A step that was under way when its node died is done again.
    expect(done.length).toBeLessThanOrEqual(args.steps + 1)
  })

  test('a call is cancelled whose node is killed at that moment: the next one that claims it ends it', async () => {
    await using pair = await start('everything', 'cancelled')
    const { nodes } = pair
    const old = await begin(nodes[0]!, 'ledger_steps', { id: 'x', steps: 100, delayMs: 100 })
    await waitFor(async () => (await ledger('cancelled')).length > 0)
    nodes[0]!.pause()
    await runsOf(store, { by: 'ann' }).cancel(old)
    await nodes[0]!.kill('SIGKILL')
    await ends(store, old, 'cancelled')
    const kinds = (await recordsOf(store, old)).map((data) => data.split(' ')[0])
    expect(kinds).toContain('claim')
  })

  test('a call that sleeps is resumed, and its node killed at that moment: it wakes at another one', async () => {
    const spawned = [1, 2].map(() => spawnNode('tests/dist/nap-node.js', [redis.url, join(folder, 'naps')]))
    const [a, b] = await Promise.all(spawned)
    await using first = a!
    await using second = b!
    const call = await begin(first, 'nap')
    await waitFor(async () => (await recordsOf(store, call)).some((data) => data.includes('deadline')))
    first.pause()
    await runsOf(store, { by: 'ann' }).resume(call)
    await first.kill('SIGKILL')
    await ends(store, call, 'response')
    expect(await ledger('naps')).toEqual([`lay ${first.pid}`, `got up ${second.pid}`])
    const naps = (await recordsOf(store, call)).filter((data) => data.includes('"id":"nap"'))
    expect(naps).toHaveLength(1)
  })

  test('a fork of a call with three kinds of steps: those before are not done again, whoever runs it', async () => {
    await using pair = await start('demo/node', 'forked')
    const { nodes } = pair
    const steps = async () => (await ledger('forked')).map((line) => line.split('\t')[0])
    const old = await begin(nodes[0]!, 'book_table')
    await old.ended
    const runs = runsOf(store, { by: 'ann' })
    await runs.cancel(old)
    await ends(store, old, 'cancelled')
    expect(await steps()).toEqual(['hold a table', 'charge the deposit'])
    const fromQuestion = await runs.fork(old, { from: { name: 'ask for the name' } })
    await waitFor(async () =>
      (await recordsOf(store, fromQuestion.call)).some((data) => data.startsWith('question')),
    )
    expect(await steps()).toEqual(['hold a table', 'charge the deposit'])
    await runs.cancel(fromQuestion.call)
    await ends(store, fromQuestion.call, 'cancelled')
    const fromCharge = runs.fork(old, { from: { name: 'charge the deposit' } })
    await expect(fromCharge).rejects.toMatchObject({ code: 'run-repeats' })
    const again = await runs.fork(old, { from: { name: 'charge the deposit' }, repeat: true })
    await waitFor(async () =>
      (await recordsOf(store, again.call)).some((data) => data.startsWith('question')),
    )
    expect(await steps()).toEqual(['hold a table', 'charge the deposit', 'charge the deposit'])
  })
})

describe('on a Cluster', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startRedisCluster()
  })
  afterAll(() => cluster[Symbol.asyncDispose]())

  test('a call is cancelled, and done again by the nodes', async () => {
    await using system = await System.start({ cluster: cluster.nodes })
    const client = new Cluster(cluster.nodes)
    const store = redisStore(client, { prefix: system.prefix })
    const [a] = system.abc
    const old = await begin(a, 'say', { texts: [], gate: 'one' })
    const runs = runsOf(store, { by: 'ann' })
    await runs.cancel(old)
    await ends(store, old, 'cancelled')
    const { call } = await runs.retry(old, { repeat: true })
    await system.openGate('one')
    await ends(store, call, 'response')
    expect(await store.listOpenCalls(call.scope)).toEqual([])
    await store.close()
    client.disconnect()
  })
})
