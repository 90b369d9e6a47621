import { accessSync, constants, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Store } from '@mcp-durable/core'
import { file as openStore } from '@mcp-durable/sqlite-store'
import { inspectSqlite, openReadOnly } from '@mcp-durable/sqlite-store/inspect'
import { openTarget, transferSqlite } from '@mcp-durable/sqlite-store/transfer'
import { CliError, messageOf } from '../errors.js'
import type { End } from '../migrate/end.js'
import type { SqliteConnected } from './connected.js'

/** Opened for reading only, until something is to be changed, or waited for. */
export function connectSqlite(path: string, name: string | undefined): SqliteConnected {
  requireDatabase(path)
  const database = explained(path, () => openReadOnly(path))
  const inspect = explained(path, () => inspectSqlite(database, { name }))
  return {
    kind: 'sqlite',
    inspect,
    where: name === undefined ? path : `${path}  name ${name}`,
    area: `in ${path}${name === undefined ? '' : ` under the name ${name}`}`,
    open: () => explained(path, () => storeIn(path, name)),
    close: () => void database.close(),
  }
}

export function makeStore(path: string, name: string | undefined): Store {
  requireTarget(path)
  return explained(path, () => storeIn(path, name))
}

/** As the target of a migration the file may be made. */
export function sqliteEnd(path: string, role: 'from' | 'to'): End {
  if (role === 'from') requireDatabase(path)
  else requireTarget(path)
  const database = explained(path, () => (role === 'from' ? openReadOnly(path) : openTarget(path)))
  return {
    where: resolve(path),
    part: (name) =>
      explained(path, () => ({
        inspect: inspectSqlite(database, { name }),
        transfer: transferSqlite(database, { name }),
        open: () => storeIn(path, name),
      })),
    close: () => void database.close(),
  }
}

function storeIn(path: string, name: string | undefined): Store {
  const store = openStore(path)
  if (name === undefined) return store
  const named = store.open({ name })
  // The file stays open as long as one of the two uses it.
  void store.close()
  return named
}

function requireDatabase(path: string) {
  const found = statOf(path)
  if (!found)
    throw new CliError(`there is no file ${path}.`, [
      'Say where it is: --sqlite FILE, as in file(FILE) of the nodes. They make it when they start for the first time.',
    ])
  if (found.isDirectory()) throw new CliError(`${path} is a folder.`, ['Give the file in it: --sqlite FILE'])
}

/** One that is there is a database, or empty. */
function requireTarget(path: string) {
  const found = statOf(path)
  if (found && (found.isDirectory() || found.size > 0)) requireDatabase(path)
  const folder = dirname(path)
  if (!statOf(folder)?.isDirectory())
    throw new CliError(`there is no folder ${folder}.`, ['Make it first: a file is made, a folder is not.'])
  // SQLite keeps two files beside it, and tells only with the first write that it may not.
  explained(path, () => [path, folder].forEach((place) => requireWritable(place)))
}

function explained<T>(path: string, act: () => T): T {
  try {
    return act()
  } catch (error) {
    throw new CliError(`${path} can't be opened: ${messageOf(error)}`, nextOf(error), { cause: error })
  }
}

const statOf = (path: string) => explained(path, () => statSync(path, { throwIfNoEntry: false }))

function requireWritable(path: string) {
  if (statSync(path, { throwIfNoEntry: false })) accessSync(path, constants.R_OK | constants.W_OK)
}

function nextOf(error: unknown): string[] {
  const message = messageOf(error)
  if (/EACCES|EPERM|EROFS|readonly|unable to open/i.test(message))
    return ['The user of the nodes may: run this as that user (sudo -u USER mcp-durable …).']
  if (/not a database|no tables of a store/i.test(message))
    return ['Give the file that nodes keep their sessions in.']
  if (/locked|busy/i.test(message))
    return ['Another process holds it for itself: a backup, or a shell of SQLite. End that, and try again.']
  return ['Say where it is: --sqlite FILE, as in file(FILE) of the nodes.']
}
