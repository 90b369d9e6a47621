import type { Store } from '@mcp-durable/core'
import type { Inspection } from '@mcp-durable/core/inspect'
import type { RedisInspection } from '@mcp-durable/redis-store/inspect'
import type { SqliteInspection } from '@mcp-durable/sqlite-store/inspect'

/** What a command has of a store: looking into it, and acting on it. */
export type Connection = {
  inspect: Inspection
  /** At a glance: `127.0.0.1:6379  prefix mcp`. */
  where: string
  /** In a sentence: `under the prefix mcp at 127.0.0.1:6379`. */
  area: string
  /**
   * The store itself, to be woken by it, and to change what it holds. Whoever opens it closes it. `plain`: what becomes of a record that
   * is not sealed, if there are keys. Default: it is read.
   */
  open(plain?: 'read' | 'refuse'): Store
  close(): void
}

/** Told apart where something is about one kind of store. */
export type Connected = RedisConnected | SqliteConnected
export type RedisConnected = Connection & { kind: 'redis'; inspect: RedisInspection; prefix: string }
export type SqliteConnected = Connection & { kind: 'sqlite'; inspect: SqliteInspection }

/** `patient`: goes on trying when the connection breaks, as a view that stays open does. */
export type Patience = { patient: boolean }
