import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

import { ensureProgram, freePort, spawnNode, startRedis, startRedisCluster, waitFor } from './index.js'

test('the run has a Redis that answers', async () => {
  const redis = new Redis(process.env['REDIS_URL']!)
  expect(await redis.ping()).toBe('PONG')
  redis.disconnect()
})

test('a port is given to one, also before anybody listens there', async () => {
  using random = vi.spyOn(Math, 'random')
  const port = await freePort()
  random.mockReturnValueOnce(random.mock.results.at(-1)!.value as number)
  expect(await freePort()).not.toBe(port)
})

describe('startRedis', () => {
  test('keeps acknowledged writes over a kill with the append-only file', async () => {
    await using server = await startRedis({ aof: 'always' })
    const redis = new Redis(server.url)
    await redis.set('key', 'kept')
    const { pid } = server

    await server.kill('SIGKILL')
    expect(isAlive(pid)).toBe(false)
    await server.restart()

    expect(server.pid).not.toBe(pid)
    expect(await redis.get('key')).toBe('kept')
    redis.disconnect()
  })

  test('ends with its scope', async () => {
    let pid: number
    {
      await using server = await startRedis()
      pid = server.pid
      expect(isAlive(pid)).toBe(true)
    }
    expect(isAlive(pid)).toBe(false)
  })

  test('says what the server printed when it does not start', async () => {
    await expect(startRedis({ config: { 'no-such-option': 'x' } })).rejects.toThrow(/no-such-option/)
  })
})

describe('startRedisCluster', () => {
  test('serves keys on three masters', async () => {
    await using cluster = await startRedisCluster({ masters: 3 })
    const client = cluster.client()
    const keys = Array.from({ length: 30 }, (_, i) => `key-${i}`)
    await Promise.all(keys.map((key) => client.set(key, key)))
    expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys)
    expect(client.nodes('master')).toHaveLength(3)
  })

  test('replaces a killed master by its replica, and takes it back', async () => {
    await using cluster = await startRedisCluster({ masters: 3, replicas: 1 })
    const client = cluster.client()
    await client.set('key', 'before')
    await Promise.all(client.nodes('master').map((master) => master.wait(1, 1_000)))

    const killed = await cluster.killMaster('key')
    const value = await waitFor(() => client.get('key'), { what: 'the fail-over' })
    expect(value).toBe('before')

    await killed.restart()
    await cluster.waitUntilOk()
  })
})

describe('spawnNode', () => {
  let dir: string
  const script = (name: string, text: string) => {
    const file = join(dir, name)
    return writeFile(file, text).then(() => file)
  }
  beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'mcp-durable-test-'))))
  afterAll(() => rm(dir, { recursive: true }))

  test('waits for the address, and ends by its own pid', async () => {
    const file = await script(
      'server.mjs',
      `import { createServer } from 'node:http'
       const server = createServer((_, res) => res.end(process.env.WORD + process.argv[2]))
       server.listen(0, '127.0.0.1', () => console.log('listening on http://127.0.0.1:' + server.address().port))`,
    )
    await using node = await spawnNode(file, ['!'], { env: { WORD: 'hello' } })
    expect(await (await fetch(node.url)).text()).toBe('hello!')
    expect(await node.kill('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' })
    expect(isAlive(node.pid)).toBe(false)
  })

  test('fails with the output of a process that ends early', async () => {
    const file = await script('broken.mjs', `console.error('no such thing'); process.exit(3)`)
    await expect(spawnNode(file)).rejects.toThrow(/it ended \(3\)[^]*no such thing/)
  })
})

describe('ensureProgram', () => {
  const program = { commands: ['no-such-program'], debian: 'none', brew: 'none' }

  test('finds what is there, and installs nothing then', async () => {
    const install = () => Promise.reject(new Error('installed'))
    expect(await ensureProgram({ ...program, commands: ['no-such-program', 'node'] }, { install })).toBe(
      'node',
    )
  })

  test('what can’t be had skips its tests, but is an error in CI', async () => {
    const install = () => Promise.resolve()
    expect(await ensureProgram(program, { install, isCI: false })).toBeUndefined()
    await expect(ensureProgram(program, { install, isCI: true })).rejects.toThrow(/no-such-program/)
  })
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
