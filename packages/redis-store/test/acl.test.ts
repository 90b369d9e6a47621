import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { listCalls } from '@mcp-durable/core/inspect'
import { runsOf } from '@mcp-durable/core/runs'
import { NOBODY } from '@mcp-durable/core/store'
import { storeContract } from '@mcp-durable/core/testing/store'
import { redisStore } from '@mcp-durable/redis-store'
import { inspectRedis } from '@mcp-durable/redis-store/inspect'
import { transferRedis } from '@mcp-durable/redis-store/transfer'
import { Cluster, Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startRedis, startRedisCluster } from '../../../test-support/index.js'
import type { RedisCluster, RedisServer } from '../../../test-support/index.js'
import { fill } from './filled-store.js'
import { LIMITS, newCall, newSession } from './support.js'

/** What docs/security.md says to type, in its order: the arguments of each `ACL SETUSER`. */
async function documented(user: string): Promise<string[][]> {
  const page = await readFile(new URL('../../../docs/security.md', import.meta.url), 'utf8')
  const commands = [...page.matchAll(/```sh\nredis-cli ACL SETUSER (.*?)\n```/gs)].map(([, typed = '']) =>
    typed.replaceAll('\\\n', ' ').replaceAll(/['\\]/g, '').split(/\s+/),
  )
  return commands.filter(([name]) => name === user)
}

async function create(server: RedisServer, commands: readonly string[][]) {
  const admin = new Redis(server.url)
  for (const rights of commands) await admin.call('ACL', 'SETUSER', ...rights)
  admin.disconnect()
}

const as = (username: string) => ({ username, password: 'PASSWORD' })
const prefixOf = () => `mcp:${randomUUID()}`

/** What the server has refused since it was asked last. */
async function refused(server: RedisServer): Promise<string[]> {
  const admin = new Redis(server.url, { protocol: 2 })
  const log = (await admin.call('ACL', 'LOG')) as unknown[][]
  await admin.call('ACL', 'LOG', 'RESET')
  admin.disconnect()
  const commands = log.map((entry) => String(entry[entry.indexOf('object') + 1]))
  // Asked once before a value above 1 MiB is sent; without an answer the limit is taken to be that of Redis.
  return commands.filter((command) => command !== 'config|get')
}

const FORBIDDEN = [
  'FLUSHALL',
  'FLUSHDB',
  'SWAPDB 0 1',
  'SELECT 1',
  'KEYS *',
  'RANDOMKEY',
  'DBSIZE',
  'MIGRATE 127.0.0.1 1 mcp:x 0 1',
  'DUMP mcp:x',
  'RESTORE mcp:x 0 x',
  'COPY mcp:x other:y',
  'RENAME mcp:x other:y',
  'MOVE mcp:x 1',
  'SORT mcp:x BY other:* GET other:*',
  'OBJECT FREQ mcp:x',
  'CLIENT KILL TYPE normal',
  'CLIENT LIST',
  'CLIENT PAUSE 1',
  'CONFIG GET *',
  'CONFIG SET maxmemory 1',
  'ACL LIST',
  'ACL SETUSER me on nopass ~* +@all',
  'MONITOR',
  'SUBSCRIBE mcp:x',
  'PSUBSCRIBE *',
  'PUBLISH mcp:x y',
  'PUBSUB CHANNELS',
  'SCRIPT FLUSH',
  'FUNCTION LIST',
  'DEBUG SLEEP 0',
  'SLOWLOG GET',
  'LATENCY DOCTOR',
  'MODULE LIST',
  'SHUTDOWN NOSAVE',
  'SAVE',
  'BGREWRITEAOF',
  'REPLICAOF 127.0.0.1 1',
  'FAILOVER',
  'CLUSTER RESET',
  'CLUSTER FAILOVER',
  // Of another system.
  'GET other:x',
  'HGETALL other:{x}',
  'XADD other:x 1-1 d x',
  'SSUBSCRIBE other:x',
  'SPUBLISH other:x y',
]
const WRITING = [
  'COPY mcp:x mcp:y',
  'RENAME mcp:x mcp:y',
  'EVAL x 0',
  'SET mcp:x y',
  'HSET mcp:x y z',
  'UNLINK mcp:x',
  'XADD mcp:x * d x',
  'SPUBLISH mcp:x y',
]

function mustNot(server: () => RedisServer, user: string, commands: readonly string[]) {
  test.each(commands)(`${user} must not %s`, async (command) => {
    const client = new Redis(server().url, { ...as(user), retryStrategy: null })
    client.on('error', () => undefined)
    const [name = '', ...args] = command.split(' ')
    await expect(client.call(name, ...args)).rejects.toThrow(/NOPERM|DEBUG command not allowed/)
    client.disconnect()
    await refused(server())
  })
}

describe('users of a single server', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
    await create(server, (await documented('mcp-node')).slice(0, 1))
    await create(server, await documented('mcp-viewer'))
    await create(server, await documented('mcp-operator'))
  })
  afterAll(() => server[Symbol.asyncDispose]())

  mustNot(() => server, 'mcp-node', [...FORBIDDEN, 'SCAN 0', 'CLUSTER SLOTS'])
  mustNot(() => server, 'mcp-viewer', [...FORBIDDEN, ...WRITING])
  mustNot(() => server, 'mcp-operator', FORBIDDEN)

  test('mcp-operator lists calls and acts on them', async () => {
    const client = new Redis(server.url, as('mcp-operator'))
    const prefix = prefixOf()
    const store = redisStore(client, { prefix })
    const { id: scope } = newSession()
    await store.createSession(newSession({ id: scope }), LIMITS)
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'book' } }
    const request = { messages: [message], batch: false, protocol: '2025-11-25', node: '' }
    const call = newCall(scope, { owner: NOBODY, data: `request ${JSON.stringify(request)}` })
    const opened = await store.openCall(call)
    if (opened.status !== 'opened') throw new Error(opened.status)
    const { callId, requestKeys } = call
    const runs = runsOf(store, { by: 'ann' })
    await runs.cancel({ scope, callId })
    // As the node that claims it would.
    const end = { id: `${Date.now() + 60_000}-1`, data: 'cancelled "enough"' }
    expect(await store.appendCall(scope, callId, [end], { requestKeys, retainMs: 60_000 })).toBe('appended')
    await runs.retry({ scope, callId }, { repeat: true })
    const { calls } = await listCalls(inspectRedis(client, { prefix }), { ended: true, tool: 'book' })
    expect(calls.map(({ status }) => status)).toEqual(['orphaned', 'cancelled'])
    await store.close()
    client.disconnect()
    expect(await refused(server)).toEqual([])
  })

  test('mcp-operator moves what is there to another prefix', async () => {
    const client = new Redis(server.url, as('mcp-operator'))
    const [from, to] = [prefixOf(), prefixOf()]
    const store = redisStore(client, { prefix: from })
    await fill(store)
    const target = transferRedis(client, { prefix: to })
    for await (const piece of transferRedis(client, { prefix: from }).pieces()) await target.put(piece)
    expect(await inspectRedis(client, { prefix: to }).sessions.count()).toBe(3)
    await store.close()
    client.disconnect()
    expect(await refused(server)).toEqual([])
  })

  storeContract('as mcp-node', () => {
    const prefix = prefixOf()
    const clients = [1, 2].map(() => new Redis(server.url, as('mcp-node')))
    const [store, peer] = clients.map((client) => redisStore(client, { prefix }))
    return {
      store: store!,
      peer: peer!,
      dispose: async () => {
        for (const client of clients) client.disconnect()
        expect(await refused(server)).toEqual([])
      },
    }
  })
})

test('calls of a user that may not copy end as others do', async () => {
  await using server = await startRedis()
  await create(server, [...(await documented('mcp-node')).slice(0, 1), ['mcp-node', '-copy', '-rename']])
  const client = new Redis(server.url, as('mcp-node'))
  const store = redisStore(client, { prefix: prefixOf() })
  const { id: scope } = newSession()
  await store.createSession(newSession({ id: scope }), LIMITS)
  const call = newCall(scope)
  const opened = await store.openCall(call)
  if (opened.status !== 'opened') throw new Error(opened.status)
  const end = { id: `${Number.parseInt(opened.id, 10)}-2`, data: 'response' }
  const { callId, requestKeys } = call
  expect(await store.appendCall(scope, callId, [end], { requestKeys, retainMs: 60_000 })).toBe('appended')
  const left = await store.read(scope, `call:${callId}`, opened.id, 9)
  expect(left?.map(({ data }) => data)).toEqual(['response'])
  client.disconnect()
})

describe('users of a Cluster', () => {
  let cluster: RedisCluster
  beforeAll(async () => {
    cluster = await startRedisCluster({ masters: 3 })
    const commands = await documented('mcp-node')
    for (const server of cluster.servers) await create(server, commands)
  })
  afterAll(() => cluster[Symbol.asyncDispose]())

  mustNot(() => cluster.servers[0]!, 'mcp-node', FORBIDDEN)

  storeContract('as mcp-node', () => {
    const prefix = prefixOf()
    const clients = [1, 2].map(() => new Cluster(cluster.nodes, { redisOptions: as('mcp-node') }))
    const [store, peer] = clients.map((client) => redisStore(client, { prefix }))
    return {
      store: store!,
      peer: peer!,
      dispose: async () => {
        for (const client of clients) client.disconnect()
        for (const server of cluster.servers) expect(await refused(server)).toEqual([])
      },
    }
  })
})
