import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startRedis, startRedisCluster, waitFor } from '../../../test-support/index.js'
import { cli } from './support/cli.js'
import { Demo, short } from './support/demo.js'

type Finding = { level: 'ok' | 'note' | 'risk'; check: string; found: string; risk?: string; fix?: string }

async function doctor(url: string, ...args: string[]) {
  const { code, stdout, stderr } = await cli(url, 'doctor', '--json', ...args)
  if (stdout === '') throw new Error(stderr)
  const { risks, findings } = JSON.parse(stdout) as { risks: number; findings: Finding[] }
  return {
    code,
    risks,
    findings,
    of: (check: string) => findings.find((finding) => finding.check === check),
    checks: (level: Finding['level']) =>
      findings.filter((finding) => finding.level === level).map(({ check }) => check),
  }
}

/** Carries out what the doctor advises; a server without a file for its settings can't keep them. */
async function mend({ fix = '' }: Finding) {
  const [, host, port, name, value] =
    /^redis-cli -h (\S+) -p (\d+) CONFIG SET (\S+) (\S+) && /.exec(fix) ?? []
  const redis = new Redis(Number(port), host ?? '')
  await redis.config('SET', name ?? '', value ?? '')
  redis.disconnect()
}

test('nothing to find on a server that keeps what it acknowledges', async () => {
  await using demo = await Demo.start({ aof: 'always', config: { maxmemory: '200mb' } })
  await demo.book(demo.nodes[0]!)
  const { code, risks, checks, of } = await doctor(demo.url)
  expect({ code, risks, notes: checks('note') }).toEqual({ code: 0, risks: 0, notes: ['replicas'] })
  expect(of('version')?.found).toMatch(/^(Redis|Valkey) \d/)
  expect(of('nodes')?.found).toBe('2 nodes with a heartbeat')
  expect(of('clocks')?.found).toMatch(/^nodes within .* of Redis$/)
  expect(of('open calls')?.found).toBe('1 open call in 1 session, 0 without a session')
  expect(of('memory per session, or call without one')?.found).toMatch(
    /^[\d.]+ KiB on average, the largest \S{6}… has [\d.]+ KiB$/,
  )
  const { stdout } = await cli(demo.url, 'doctor')
  expect(stdout).toContain('no risks, 1 note')
})

test('settings that lose data are risks, and what is advised mends them', async () => {
  await using server = await startRedis({ config: { 'maxmemory-policy': 'volatile-lru' } })
  const filler = new Redis(server.url)
  // Made by the server, so that no buffer of a connection counts.
  await filler.setrange('filler', 5_000_000, 'x')
  const used = Number(/^used_memory:(\d+)/m.exec(await filler.info('memory'))?.[1])
  await filler.config('SET', 'maxmemory', String(Math.round(used * 1.1)))
  filler.disconnect()
  const before = await doctor(server.url)
  expect(before.code).toBe(1)
  expect(before.checks('risk')).toEqual(['maxmemory-policy', 'memory', 'appendonly'])
  for (const finding of before.findings.filter(({ level }) => level === 'risk')) {
    expect(finding.risk).not.toBe('')
    await mend(finding)
  }
  // What comes to light behind the first one.
  const lazy = (await doctor(server.url)).of('appendfsync')
  expect(lazy).toMatchObject({ level: 'risk', found: 'no' })
  await mend(lazy!)
  const after = await doctor(server.url)
  expect({ code: after.code, risks: after.checks('risk') }).toEqual({ code: 0, risks: [] })
  expect(after.of('appendfsync')).toMatchObject({ level: 'note', found: 'everysec' })
  await mend(after.of('appendfsync')!)
  expect((await doctor(server.url)).of('appendfsync')?.level).toBe('ok')
  const { stdout } = await cli(server.url, 'doctor')
  expect(stdout).toContain('no node has a heartbeat')
})

test('a replica without min-replicas-to-write is a risk, and so is one replica too few', async () => {
  await using master = await startRedis({ aof: 'always' })
  await using replica = await startRedis({ config: { replicaof: `127.0.0.1 ${master.port}` } })
  await waitFor(async () => (await doctor(master.url)).of('replicas')?.found.startsWith('1 replica'), {
    what: 'the replica',
  })
  const one = (await doctor(master.url)).of('replicas')
  expect(one).toMatchObject({ level: 'risk' })
  await mend(one!)
  expect((await doctor(master.url)).of('replicas')).toMatchObject({
    level: 'ok',
    found: '1 replica, min-replicas-to-write 1',
  })
  expect((await doctor(replica.url)).of('role')).toMatchObject({ found: 'a replica' })
  await replica.kill()
  await waitFor(async () => (await doctor(master.url)).of('replicas')?.found.startsWith('0 replicas'))
  expect((await doctor(master.url)).of('replicas')).toMatchObject({ level: 'risk' })
})

test('nodes that are gone, their calls, clocks, and keys that never expire', async () => {
  await using demo = await Demo.start({ nodes: 1, aof: 'always', config: { maxmemory: '200mb' } })
  const booking = await demo.book(demo.nodes[0]!)
  await demo.nodes[0]!.kill('SIGKILL')
  const ago = Date.now() - 60_000
  // Time passes.
  const [node = ''] = await demo.client.zrange('mcp:{nodes}', '0', '-1')
  await demo.client.zadd('mcp:{nodes}', String(ago), node)
  const clock = Date.now() + 5000
  await demo.store.beat(
    'b-node-whose-clock-is-off',
    JSON.stringify({ host: 'elsewhere', pid: 7, startedAt: ago, clock }),
  )
  await demo.client.persist(`mcp:{${booking.session.storedId}}:call:${booking.callId}`)
  await demo.client.set('mcp:{x}:what', 'is this', 'EX', 60)

  const { code, of, checks } = await doctor(demo.url)
  expect(code).toBe(1)
  expect(of('nodes')?.found).toBe('1 node with a heartbeat')
  expect(of('nodes without heartbeat')?.found).toMatch(/^\S+:\d+ \S{6}…, silent for 1 m /)
  expect(of('wake-ups')?.found).toBe('not listening: elsewhere:7 b-node…')
  expect(of('clock of a node')?.found).toMatch(/^elsewhere:7 b-node… is [45]\.\d s ahead of Redis$/)
  expect(of('orphaned calls')?.found).toContain(`1 call of nodes that are gone: ${short(booking.callId)}`)
  expect(of('expiry')).toMatchObject({
    level: 'risk',
    found: expect.stringMatching(/^1 key without expiry: mcp:/) as string,
  })
  expect(of('keys of others')?.found).toContain('mcp:{x}:what')
  expect(checks('risk')).toEqual(['nodes without heartbeat', 'clock of a node', 'expiry'])

  // Nobody knows that node any more, and nobody lives: then nobody will take the call over.
  await demo.client.del('mcp:{nodes}')
  const alone = await doctor(demo.url)
  expect(alone.of('orphaned calls')).toMatchObject({
    level: 'risk',
    fix: expect.stringContaining('start a node') as string,
  })
})

test('a Cluster: every master, its slots, and cluster-require-full-coverage', async () => {
  await using cluster = await startRedisCluster({ masters: 3, aof: 'always' })
  const store = redisStore(cluster.client())
  const state = { key: 'initialize', data: '{}' }
  const session = { principal: undefined, protocolVersion: '2025-11-25', state, ttlMs: 60_000 }
  for (const id of ['one', 'two', 'three'])
    await store.createSession({ ...session, id }, { maxPerPrincipal: 9 })
  await store.beat('a-node')
  const url = `redis://127.0.0.1:${cluster.nodes[0]!.port}`
  const before = await doctor(url)
  expect(before.findings.filter(({ check }) => check.startsWith('version of 127.0.0.1:'))).toHaveLength(3)
  expect(before.of('Cluster')).toMatchObject({
    level: 'ok',
    found: '3 masters, 16384 of 16384 slots served',
  })
  expect(before.of('open calls')?.found).toBe('0 open calls in 3 sessions, 0 without a session')
  expect(before.checks('risk')).toEqual(['cluster-require-full-coverage'])
  for (const { port } of cluster.nodes) {
    await mend({
      ...before.of('cluster-require-full-coverage')!,
      fix: `redis-cli -h 127.0.0.1 -p ${port} CONFIG SET cluster-require-full-coverage no && `,
    })
  }
  expect((await doctor(url)).risks).toBe(0)
  expect((await cli(url, 'sessions')).stdout.trim().split('\n')).toHaveLength(4)
  await store.close()
})

test('of a Redis before 6.2 it says that, and asks nothing that such a server does not know', async () => {
  await using server = await startRedis({ config: { 'rename-command': ['PUBSUB', ''] } })
  await using older = await olderRedis(server.port)
  const { code, of } = await doctor(older.url)
  expect(code).toBe(1)
  expect(of('version')).toMatchObject({ level: 'risk', risk: expect.stringContaining('older than 6.2') })
  expect(of('version')?.found).toMatch(/^Redis 6\./)
  expect(of('version')?.fix).toContain('Redis 7.0 or newer')
})

/** Stands before a server, and lets it pass for one of version 6. */
async function olderRedis(port: number) {
  const proxy = createServer((client) => {
    const redis = connect(port, '127.0.0.1')
    client.pipe(redis)
    redis.on('data', (data) => client.write(String(data).replace(/redis_version:\d/, 'redis_version:6')))
    client.on('close', () => redis.destroy())
    for (const socket of [client, redis]) socket.on('error', () => client.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  return {
    url: `redis://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => proxy.close(() => resolve())),
  }
}
