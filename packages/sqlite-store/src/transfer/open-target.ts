import { resolve } from 'node:path'
import { requireLocal } from '../check-options.js'
import { findDriver, makeFile } from '../file.js'
import { openSchema } from '../schema.js'
import type { SqliteDatabase } from '../sqlite-like.js'

/** Opens a file to be written to, as `file()` does: it is made, with its tables, if it is not there. */
export function openTarget(path: string): SqliteDatabase {
  const absolute = resolve(path)
  requireLocal(absolute)
  makeFile(absolute)
  const database = findDriver()(absolute)
  try {
    openSchema(database, 'full')
    return database
  } catch (error) {
    database.close()
    throw error
  }
}
