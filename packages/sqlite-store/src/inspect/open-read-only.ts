import { findDriver } from '../file.js'
import type { SqliteDatabase } from '../sqlite-like.js'

/** As node:sqlite calls it, and as better-sqlite3 does; libsql has no such option. */
const READ_ONLY = { readOnly: true, readonly: true, fileMustExist: true }

/** Opens a file that is there, by the driver that `file()` would take, for reading only. Throws what the driver throws. */
export function openReadOnly(path: string): SqliteDatabase {
  const database = findDriver()(path, READ_ONLY)
  database.exec('PRAGMA query_only = ON')
  return database
}
