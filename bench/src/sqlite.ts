import { createRequire } from 'node:module'
import type { SqliteDatabase } from '@mcp-durable/sqlite-store'

type Handle = new (path: string) => SqliteDatabase

/** A file as such, without a store: with node:sqlite, or with libsql on Node.js 20, as the store opens it. */
export function openDatabase(path: string): SqliteDatabase {
  const require = createRequire(import.meta.url)
  const Database = handleOf(require)
  return new Database(path)
}

function handleOf(require: NodeJS.Require): Handle {
  try {
    return (require('node:sqlite') as { DatabaseSync: Handle }).DatabaseSync
  } catch {
    return require('libsql') as Handle
  }
}
