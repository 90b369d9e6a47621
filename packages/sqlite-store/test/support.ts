import { createRequire } from 'node:module'
import Database from 'libsql'
import type { SqliteDatabase } from '@mcp-durable/sqlite-store'

type Open = (path: string) => SqliteDatabase

/** Those that this version of Node.js has. */
export const DRIVERS: ReadonlyArray<{ name: string; open: Open }> = [
  { name: 'libsql', open: (path) => new Database(path) },
  ...nodeSqlite(),
]

function nodeSqlite() {
  try {
    const { DatabaseSync } = createRequire(import.meta.url)('node:sqlite') as {
      DatabaseSync: new (path: string) => SqliteDatabase
    }
    return [{ name: 'node:sqlite', open: (path: string) => new DatabaseSync(path) }]
  } catch {
    return []
  }
}
