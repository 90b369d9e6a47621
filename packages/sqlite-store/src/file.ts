import { closeSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import type { Store } from '@mcp-durable/core/store'
import { checkOptions, requireLocal } from './check-options.js'
import type { SqliteStoreOptions } from './check-options.js'
import { Engine } from './engine.js'
import type { SqliteDatabase } from './sqlite-like.js'
import { settings, storeOf } from './sqlite-store.js'

/**
 * A store in the SQLite file at `path`, which is made (for this user alone) if it is not there; its folder must be. Opened with node:sqlite
 * where Node.js has it, else with better-sqlite3 or libsql if one is installed. The file is closed with the store. Throws a `TypeError`
 * for what is no path or option, a network file system, or if there is nothing to open it with.
 */
export function file(path: string, options: SqliteStoreOptions = {}): Store {
  if (typeof path !== 'string' || path === '' || path === ':memory:')
    throw new TypeError(
      "file() takes the path of a file, as in file('./mcp.db'). For a store in memory there is memoryStore().",
    )
  checkOptions('file(path, options)', options)
  const absolute = resolve(path)
  requireLocal(absolute)
  const open = findDriver()
  makeFile(absolute)
  return storeOf(new Engine({ open: () => open(absolute), isOwn: true }, settings(options)), {})
}

/**
 * Files beside it, which SQLite makes, get the mode of this one. One that is there is left alone: a process that closes a file loses all
 * locks that it has on it, also those of another handle, and another process would then delete the write-ahead log under it.
 */
export function makeFile(path: string) {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

type Driver = (path: string, options?: object) => SqliteDatabase
type Handle = new (path: string, options?: object) => SqliteDatabase

/** What an application has installed is found from its folder, too. */
export function findDriver(): Driver {
  const places = [import.meta.url, `${process.cwd()}/package.json`].map((place) => createRequire(place))
  for (const name of ['node:sqlite', 'better-sqlite3', 'libsql'])
    for (const require of places) {
      const Database = load(require, name)
      if (Database) return (path, options = {}) => new Database(path, options)
    }
  throw new TypeError(
    `file() needs node:sqlite, which Node.js ${process.version} does not have. Use Node.js 22.13 or newer, or install libsql, or better-sqlite3 with its binary.`,
  )
}

function load(require: NodeJS.Require, name: string): Handle | undefined {
  try {
    const found = require(name) as Handle & { DatabaseSync?: Handle }
    const Database = found.DatabaseSync ?? found
    // Installed without its binary, better-sqlite3 fails only here.
    new Database(':memory:').close()
    return Database
  } catch {
    return undefined
  }
}
