import { redisStore } from '@mcp-durable/redis-store'
import type { Store } from '@mcp-durable/core'
import { Redis } from 'ioredis'
import type { Cluster } from 'ioredis'
import { startRedis, startRedisCluster } from '../../test-support/index.js'
import type { Random } from './random.js'

export type BackendKind = 'redis' | 'cluster'

/** The Redis of a run: its own, which flushes every write before it answers, and may be killed. */
export interface Backend extends AsyncDisposable {
  /** For the flag `--redis` of a node. */
  readonly urls: string
  readonly client: Redis | Cluster
  /** The store of the checks. */
  readonly store: Store
  /** SIGKILL to a server, which is started again after that time. */
  killFor(ms: number, random: Random): Promise<void>
  /** Ids of all calls that have a journal, with their sessions. */
  journals(): Promise<JournalName[]>
}

export type JournalName = { scope: string; callId: string }

export const PREFIX = 'chaos'
const JOURNAL = /:\{([^}]+)\}:call:([\w-]{22})$/
/** The checks wait longer than the nodes while a server is away. */
const DEADLINE_MS = 20_000

export const startBackend = (kind: BackendKind): Promise<Backend> =>
  kind === 'cluster' ? startCluster() : startSingle()

async function startSingle(): Promise<Backend> {
  const server = await startRedis({ aof: 'always' })
  const client = new Redis(server.url, { retryStrategy: () => 100 })
  client.on('error', () => undefined)
  return {
    urls: server.url,
    client,
    store: redisStore(client, { prefix: PREFIX, deadlineMs: DEADLINE_MS }),
    async killFor(ms) {
      await server.kill()
      await pause(ms)
      await server.restart()
    },
    journals: async () => journalsIn(client, PREFIX),
    async [Symbol.asyncDispose]() {
      client.disconnect()
      await server[Symbol.asyncDispose]()
    },
  }
}

async function startCluster(): Promise<Backend> {
  const cluster = await startRedisCluster({ masters: 3, aof: 'always' })
  const client = cluster.client()
  client.on('error', () => undefined)
  return {
    urls: cluster.nodes.map(({ host, port }) => `redis://${host}:${port}`).join(','),
    client,
    store: redisStore(client, { prefix: PREFIX, deadlineMs: DEADLINE_MS }),
    async killFor(ms, random) {
      const server = await cluster.killMaster(String(random.next()))
      await pause(ms)
      await server.restart()
      await cluster.waitUntilOk()
    },
    async journals() {
      const journals = await Promise.all(client.nodes('master').map((master) => journalsIn(master, PREFIX)))
      return journals.flat()
    },
    async [Symbol.asyncDispose]() {
      client.disconnect()
      await cluster[Symbol.asyncDispose]()
    },
  }
}

/** All journals on one server; `prefix` has no character that means something in a pattern. */
export async function journalsIn(redis: Redis, prefix: string): Promise<JournalName[]> {
  const names = new Map<string, JournalName>()
  for await (const page of redis.scanStream({ match: `${prefix}:*:call:*`, count: 1000 })) {
    for (const key of page as string[]) {
      const [, scope, callId] = JOURNAL.exec(key) ?? []
      if (scope !== undefined && callId !== undefined) names.set(key, { scope, callId })
    }
  }
  return [...names.values()]
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
