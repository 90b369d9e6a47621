import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { startRedis, type RedisServer } from '../../../../test-support/index.js'

/** Two servers of a file of tests, empty before each of them, and a folder. */
export function twoRedises() {
  let folder = ''
  let servers: RedisServer[] = []
  let clients: Redis[] = []
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mcp-durable-migrate-'))
    servers = await Promise.all([startRedis(), startRedis()])
    clients = servers.map(({ url }) => new Redis(url))
  })
  afterAll(async () => {
    for (const client of clients) client.disconnect()
    await rm(folder, { recursive: true, force: true })
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
  })
  beforeEach(() => Promise.all(clients.map((client) => client.flushall())))
  return {
    url: (which: 0 | 1) => servers[which]?.url ?? '',
    client: (which: 0 | 1) => clients[which] as Redis,
    inFolder: (name: string) => join(folder, name),
  }
}
