import { readFile } from 'node:fs/promises'
import { redisStore } from '@mcp-durable/redis-store'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { monitorRedis, startRedis, startRedisCluster, startSentinel } from '../../../test-support/index.js'
import type { MonitoredCommand, RedisMonitor, RedisServer, Sentinel } from '../../../test-support/index.js'
import { cli, out } from './support/cli.js'
import { Demo, short } from './support/demo.js'

let master: RedisServer
let sentinel: Sentinel
beforeAll(async () => {
  master = await startRedis()
  sentinel = await startSentinel(master.port)
  const client = new Redis(master.url)
  const state = { key: 'initialize', data: '{}' }
  const session = {
    id: 'behind-sentinel',
    principal: 'ada@example.com',
    protocolVersion: '2025-11-25',
    state,
    ttlMs: 60_000,
  }
  await redisStore(client).createSession(session, { maxPerPrincipal: 9 })
  client.disconnect()
})
afterAll(async () => {
  await sentinel[Symbol.asyncDispose]()
  await master[Symbol.asyncDispose]()
})

test('a sentinel with the name of the master', async () => {
  const sessions = await out(`redis+sentinel://127.0.0.1:${sentinel.port}/main`, 'sessions')
  expect(sessions).toMatch(/\nbehind… .* ada@ex… /)
})

test('a sentinel without a name, where it watches one master', async () => {
  expect(await out(`redis://127.0.0.1:${sentinel.port}`, 'sessions')).toContain('behind…')
})

test('a master that the sentinel does not know', async () => {
  const { code, stderr } = await cli(`redis+sentinel://127.0.0.1:${sentinel.port}/other`, 'sessions')
  expect(code).toBe(1)
  expect(stderr).toContain('error: ')
})

test('a database that is not there, a password that is asked for, and a port without TLS', async () => {
  await using closed = await startRedis({ config: { requirepass: 'secret' } })
  const asked = { db: `${master.url}/77`, word: `${master.url}/a`, password: closed.url, tls: '' }
  asked.tls = master.url.replace('redis:', 'rediss:')
  const [db, word, password, tls] = await Promise.all(Object.values(asked).map((url) => cli(url, 'sessions')))
  expect(db).toMatchObject({ code: 1, stdout: '' })
  expect(db?.stderr).toMatch(/^error: .* gives no database 77: .*\n {2}Name the one/)
  expect(word).toMatchObject({ code: 2, stdout: '' })
  expect(password?.stderr).toMatch(/^error: .* it asks for a password\.\n {2}Put the user/)
  expect(tls).toMatchObject({ code: 1 })
  expect(tls?.stderr).toContain('\n  If that port speaks without TLS: redis://HOST:PORT')
})

test('a Cluster, by any of its nodes, also when the first one named is away', async () => {
  await using cluster = await startRedisCluster({ masters: 3 })
  const store = redisStore(cluster.client(), { prefix: 'app' })
  const state = { key: 'initialize', data: '{}' }
  for (const id of ['alpha-1', 'beta-2', 'gamma-3']) {
    const session = { id, principal: undefined, protocolVersion: '2025-11-25', state, ttlMs: 60_000 }
    await store.createSession(session, { maxPerPrincipal: 9 })
    const call = {
      scope: id,
      callId: `call-of-${id}`,
      owner: 'node',
      principal: undefined,
      requestKeys: ['1'],
    }
    const messages = [{ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo' } }]
    const data = `request ${JSON.stringify({ messages, batch: false, protocol: '', node: 'node' })}`
    await store.openCall({ ...call, data, ttlMs: 60_000, maxOpenCalls: 9 })
  }
  const ports = cluster.nodes.map(({ port }) => `127.0.0.1:${port}`)
  const url = `redis://127.0.0.1:1,${ports.join(',')}`
  const options = ['--prefix', 'app']
  expect((await out(url, 'sessions', ...options)).trim().split('\n')).toHaveLength(4)
  // Calls are found among the keys of all masters.
  expect(await out(url, 'call', 'call-of-b', ...options)).toContain('tools/call echo')
  expect(await out(url, 'session', 'gamma', ...options)).toContain('tools/call echo opened on node')
  expect(await out(url, 'clear', '--all', '--yes', ...options)).toBe('deleted 3 sessions with 3 open calls\n')
  await store.close()
})

/** Every command that looks, each with something to find. */
function lookingCommands(session: string, call: string): string[][] {
  return [
    ['sessions'],
    ['session', session],
    ['call', call],
    ['state', session],
    ['map'],
    ['map', 'none'],
    ['export', session],
    ['doctor'],
    ['monitor', '--count', '3', '--interval', '200'],
  ]
}

/** The commands of the connections with this name, up to now. */
async function commandsBy(name: string, monitor: RedisMonitor, client: Redis) {
  const all = await monitor.commands(client)
  const isNaming = ({ words }: MonitoredCommand) =>
    words[0]?.toLowerCase() === 'client' && words.includes(name)
  const sources = new Set(all.filter(isNaming).map(({ source }) => source))
  return new Set(
    all.filter(({ source }) => sources.has(source)).map(({ words }) => words[0]?.toLowerCase() ?? ''),
  )
}

test('no command but clear writes, or asks for much at once', async () => {
  await using demo = await Demo.start({ nodes: 1 })
  const booking = await demo.book(demo.nodes[0]!)
  const admin = new Redis(demo.url)
  await using monitor = await monitorRedis(demo.url)
  for (const command of lookingCommands(short(booking.session.storedId), short(booking.callId))) {
    await cli(demo.url, ...command)
  }
  const sent = await commandsBy('mcp-durable-cli', monitor, admin)
  expect(sent).toContain('hscan')
  expect(sent).toContain('ssubscribe')
  const infos = (await admin.call('COMMAND', 'INFO', ...sent)) as Array<[string, number, string[]]>
  const writing = infos.filter(([, , flags]) => [...flags].includes('write')).map(([name]) => name)
  expect(writing).toEqual([])
  for (const command of ['keys', 'eval', 'evalsha', 'hgetall', 'smembers'])
    expect(sent).not.toContain(command)
  admin.disconnect()
})

test('a user of Redis that may only read is enough', async () => {
  await using demo = await Demo.start({ nodes: 1 })
  const booking = await demo.book(demo.nodes[0]!)
  const page = await readFile('docs/security.md', 'utf8')
  const rightsOf = (user: string) => {
    const [, typed = ''] =
      new RegExp(`ACL SETUSER ${user} reset on '>PASSWORD' (.*?)\n\`\`\``, 's').exec(page) ?? []
    return typed.replaceAll('\\\n', ' ').replaceAll(/['\\]/g, '').split(/\s+/)
  }
  const create = (user: string, ...rights: string[]) =>
    demo.client.call('ACL', 'SETUSER', user, 'on', '>secret', ...rights)
  await create('viewer', ...rightsOf('mcp-viewer'))
  await create('both', ...rightsOf('mcp-viewer'), ...rightsOf('mcp-node'))
  const url = demo.url.replace('//', '//viewer:secret@')
  for (const command of lookingCommands(short(booking.session.storedId), short(booking.callId))) {
    const { code, stdout, stderr } = await cli(url, ...command)
    const expected = command[0] === 'doctor' ? 1 : 0
    expect({ command, code, stderr: code === expected ? '' : stderr }).toEqual({
      command,
      code: expected,
      stderr: '',
    })
    expect(stdout).not.toBe('')
  }
  const refused = await cli(url, 'clear', short(booking.session.storedId), '--yes')
  expect(refused.code).toBe(1)
  expect(refused.stderr).toMatch(/^error: /)
  expect(await demo.store.readSession(booking.session.storedId)).toBeDefined()
  const mayClear = demo.url.replace('//', '//both:secret@')
  expect((await cli(mayClear, 'clear', booking.session.id, '--yes')).code).toBe(0)
  expect(await demo.store.readSession(booking.session.storedId)).toBeUndefined()
})
