import { Redis } from 'ioredis'
import Database from 'libsql'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis, startRedisCluster } from '../../test-support/index.js'
import { openContents, redisContents } from './contents.js'
import type { Contents } from './contents.js'
import type { Fate } from './node-pool.js'
import type { Random } from './random.js'

export type BackendKind = 'redis' | 'cluster' | 'sqlite'

/** The store of a run: servers of its own, which flush every write before they answer, and may be killed; or a file. */
export interface Backend extends AsyncDisposable {
  readonly kind: BackendKind
  /** For the flag `--store` of a node. */
  readonly url: string
  readonly contents: Contents
  /** When a server was away; of a file, when its lock was held by another program, or by a node that stood still. */
  readonly away: Fate[]
  /** SIGKILL to a server, which is started again after that time. Of a file: another program holds its lock for so long. */
  takeAwayFor(ms: number, random: Random): Promise<void>
  /** A node stands still until then. If that is within a transaction of a file, nobody else can write to it meanwhile. */
  nodeStandsStill?(until: Promise<void>): Promise<void>
}

export const PREFIX = 'chaos'
/** The checks wait longer than the nodes while a server is away. */
const DEADLINE_MS = 20_000

export function startBackend(kind: BackendKind): Promise<Backend> {
  if (kind === 'sqlite') return openFile()
  return kind === 'cluster' ? startCluster() : startSingle()
}

async function startSingle(): Promise<Backend> {
  const away: Fate[] = []
  const server = await startRedis({ aof: 'always' })
  const contents = openContents(server.url, PREFIX, { deadlineMs: DEADLINE_MS })
  return {
    kind: 'redis',
    url: server.url,
    contents,
    away,
    async takeAwayFor(ms) {
      const from = Date.now()
      await server.kill()
      await pause(ms)
      await server.restart()
      away.push({ what: 'killed', from, to: Date.now() })
    },
    async [Symbol.asyncDispose]() {
      await contents.close()
      await server[Symbol.asyncDispose]()
    },
  }
}

async function startCluster(): Promise<Backend> {
  const away: Fate[] = []
  const cluster = await startRedisCluster({ masters: 3, aof: 'always' })
  const client = cluster.client()
  client.on('error', () => undefined)
  // The client of the cluster may know fewer masters for a while after one was away.
  const masters = () => cluster.servers.map(({ url }) => new Redis(url))
  const contents = redisContents(client, PREFIX, masters, DEADLINE_MS)
  return {
    kind: 'cluster',
    url: cluster.nodes.map(({ host, port }) => `redis://${host}:${port}`).join(','),
    contents,
    away,
    async takeAwayFor(ms, random) {
      const from = Date.now()
      const server = await cluster.killMaster(String(random.next()))
      await pause(ms)
      await server.restart()
      await cluster.waitUntilOk()
      away.push({ what: 'killed', from, to: Date.now() })
    },
    async [Symbol.asyncDispose]() {
      await contents.close()
      await cluster[Symbol.asyncDispose]()
    },
  }
}

async function openFile(): Promise<Backend> {
  const dir = await mkdtemp(join(tmpdir(), 'mcp-durable-chaos-sqlite-'))
  const path = join(dir, 'mcp.db')
  const contents = openContents(`sqlite:${path}`, PREFIX)
  const other = new Database(path)
  other.exec('PRAGMA busy_timeout = 0')
  const away: Fate[] = []
  return {
    kind: 'sqlite',
    url: `sqlite:${path}`,
    contents,
    away,
    async takeAwayFor(ms) {
      const from = Date.now()
      // A node may have been stopped with it.
      while (!isBegun(other)) await pause(5)
      await pause(ms)
      other.exec('COMMIT')
      away.push({ what: 'held', from, to: Date.now() })
    },
    async nodeStandsStill(until) {
      const from = Date.now()
      let goesOn = false
      void until.finally(() => (goesOn = true))
      while (!isBegun(other)) {
        if (goesOn) return void away.push({ what: 'paused', from, to: Date.now() })
        await pause(5)
      }
      other.exec('COMMIT')
    },
    async [Symbol.asyncDispose]() {
      other.close()
      await contents.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

function isBegun(database: Database.Database): boolean {
  try {
    database.exec('BEGIN IMMEDIATE')
    return true
  } catch {
    return false
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
