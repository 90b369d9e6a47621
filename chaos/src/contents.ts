import { redisStore } from '@mcp-durable/redis-store'
import { prefixOf } from '@mcp-durable/redis-store/inspect'
import { file, sqliteStore } from '@mcp-durable/sqlite-store'
import type { Store } from '@mcp-durable/core'
import { Cluster, Redis } from 'ioredis'
import Database from 'libsql'

/** What is in a store, as the checks look at it: through its interface, and past it. */
export interface Contents {
  readonly store: Store
  /** All calls that have a journal, with their scopes. */
  journals(): Promise<JournalName[]>
  /** Until the journal or its scope goes. */
  keptForMs(journal: JournalName): Promise<number>
  /** When the newest record of a journal was written, in ms since 1970. */
  writtenAt(journal: JournalName): Promise<number>
  /** Entries of calls that are to be claimed at a time. */
  dueEntries(): Promise<number>
  close(): Promise<void>
}

export type JournalName = { scope: string; callId: string }

const JOURNAL = /:\{([^}]+)\}:call:([\w-]{22})$/
const SQLITE = 'sqlite:'

/** Of a store for one scenario alone. */
export const urlIn = (dir: string, store: string) => (store === 'sqlite' ? `${SQLITE}${dir}/mcp.db` : store)

/** `url`: of a Redis, of the start-up nodes of a Cluster with commas between, or `sqlite:FILE`. A file has no prefix. */
export function openStore(url: string, prefix: string): { store: Store; close: () => Promise<void> } {
  if (url.startsWith(SQLITE)) {
    const store = file(url.slice(SQLITE.length))
    return { store, close: () => store.close() }
  }
  const redis = connect(url)
  const store = redisStore(redis, { prefix })
  return {
    store,
    async close() {
      await store.close()
      redis.disconnect()
    },
  }
}

/** `name`: of the part, if it is not that of all who have none. */
export function openContents(
  url: string,
  prefix: string,
  { deadlineMs, name }: { deadlineMs?: number; name?: string } = {},
): Contents {
  if (url.startsWith(SQLITE)) return sqliteContents(url.slice(SQLITE.length), name)
  return redisContents(connect(url), prefixOf(prefix, name), () => [], deadlineMs)
}

/** Without a listener ioredis prints every failed attempt. */
function connect(url: string): Redis | Cluster {
  const urls = url.split(',')
  const options = { retryStrategy: () => 100 }
  const redis = urls.length > 1 ? new Cluster(urls) : new Redis(url, options)
  return redis.on('error', () => undefined)
}

/** `masters`: of a Cluster, all of them. */
export function redisContents(
  client: Redis | Cluster,
  prefix: string,
  masters: () => readonly Redis[],
  deadlineMs?: number,
): Contents {
  const store = redisStore(client, { prefix, ...(deadlineMs !== undefined && { deadlineMs }) })
  return {
    store,
    async journals() {
      if (!client.isCluster) return journalsIn(client as Redis, prefix)
      const connections = masters()
      try {
        return (await Promise.all(connections.map((master) => journalsIn(master, prefix)))).flat()
      } finally {
        for (const master of connections) master.disconnect()
      }
    },
    async keptForMs({ scope, callId }) {
      const key = `${prefix}:{${scope}}`
      return Math.min(...(await Promise.all([key, `${key}:call:${callId}`].map((each) => client.pttl(each)))))
    },
    async writtenAt({ scope, callId }) {
      const key = `${prefix}:{${scope}}:call:${callId}`
      const [newest] = await client.xrevrange(key, '+', '-', 'COUNT', 1)
      if (!newest) return 0
      const [id, fields] = newest
      const at = fields.indexOf('t') + 1
      return Number.parseInt(id, 10) + (at > 0 ? Number(fields[at]) : 0)
    },
    dueEntries: () => client.zcard(`${prefix}:due`),
    async close() {
      await store.close()
      client.disconnect()
    },
  }
}

/** All journals on one server; `prefix` has no character that means something in a pattern. */
async function journalsIn(redis: Redis, prefix: string): Promise<JournalName[]> {
  const names = new Map<string, JournalName>()
  for await (const page of redis.scanStream({ match: `${prefix}:{*}:call:*`, count: 1000 })) {
    for (const key of page as string[]) {
      const [, scope, callId] = JOURNAL.exec(key) ?? []
      if (scope !== undefined && callId !== undefined) names.set(key, { scope, callId })
    }
  }
  return [...names.values()]
}

function sqliteContents(path: string, name: string | undefined): Contents {
  // By one driver: the locks of two libraries in one process don't hold against each other.
  const handle = new Database(path)
  const whole = sqliteStore(handle)
  const store = name === undefined ? whole : whole.open({ name })
  const column = name === undefined ? '' : `=${name}`
  const database = new Database(path)
  const logs = `SELECT scopes.scope, log, min(scopes.expires_at, coalesce(logs.expires_at, scopes.expires_at)) AS until
    FROM logs JOIN scopes ON logs.scope = scopes.id
    WHERE scopes.name = ? AND scopes.scope IS NOT NULL AND log LIKE 'call:%' AND log NOT LIKE '%:in'`
  const query = (sql: string, ...values: string[]) =>
    database.prepare(sql).all(...values) as { scope: string; log: string; until: number; count: number }[]
  return {
    store,
    journals: async () =>
      query(logs, column).map(({ scope, log }) => ({ scope, callId: log.slice('call:'.length) })),
    async keptForMs({ scope, callId }) {
      const [found] = query(`${logs} AND scopes.scope = ? AND log = ?`, column, scope, `call:${callId}`)
      return found ? found.until - Date.now() : 0
    },
    async writtenAt({ scope, callId }) {
      const newest = `SELECT time + after AS until FROM entries WHERE log = (SELECT logs.id FROM logs JOIN scopes ON logs.scope = scopes.id
        WHERE scopes.name = ? AND scopes.scope = ? AND log = ?) ORDER BY time DESC, seq DESC LIMIT 1`
      return query(newest, column, scope, `call:${callId}`)[0]?.until ?? 0
    },
    dueEntries: async () => query('SELECT count(*) AS count FROM due')[0]?.count ?? 0,
    async close() {
      if (store !== whole) await store.close()
      await whole.close()
      handle.close()
      database.close()
    },
  }
}
