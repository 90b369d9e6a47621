import { createRequire } from 'node:module'
import Database from 'libsql'
import type { SqliteDatabase } from '@mcp-durable/sqlite-store'

type Open = (path: string) => SqliteDatabase

/** Those that this version of Node.js has. */
export const DRIVERS: ReadonlyArray<{ name: string; open: Open }> = [
  { name: 'libsql', open: (path) => new Database(path) },
  ...nodeSqlite(),
  ...betterSqlite3(),
]

/** It is built where it is installed, and not by npm alone: `BETTER_SQLITE3` is the folder of one that is. */
function betterSqlite3() {
  const folder = process.env['BETTER_SQLITE3']
  if (folder === undefined) return []
  const Handle = createRequire(import.meta.url)(folder) as new (path: string) => SqliteDatabase
  return [{ name: 'better-sqlite3', open: (path: string) => new Handle(path) }]
}

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
