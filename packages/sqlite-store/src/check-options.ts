import { dirname } from 'node:path'
import { networkFileSystem } from './network-file-systems.js'

export type SqliteStoreOptions = {
  /**
   * `full` (default): what is acknowledged survives a power cut. `normal`: it survives the death of every process, and a power
   * cut may take the last moments; the file stays whole.
   */
  synchronous?: 'full' | 'normal'
  /** Milliseconds within which every operation ends; default 5000. */
  deadlineMs?: number
}

const EXAMPLE =
  "sqliteStore(new DatabaseSync('./mcp.db')), with DatabaseSync of node:sqlite, or file('./mcp.db')"

export function checkDatabase(database: unknown) {
  if (typeof database === 'string')
    throw new TypeError(`sqliteStore() takes an open database, and was given a text: ${EXAMPLE}.`)
  const has = (name: string) =>
    typeof (database as Record<string, unknown> | undefined)?.[name] === 'function'
  if (typeof database !== 'object' || database === null || !['exec', 'prepare', 'close'].every(has))
    throw new TypeError(`sqliteStore() takes an open database, and was given something else: ${EXAMPLE}.`)
}

const CHECKS: {
  [Name in keyof Required<SqliteStoreOptions>]: [isRight: (value: unknown) => boolean, right: string]
} = {
  synchronous: [(value) => value === 'full' || value === 'normal', "'full' or 'normal'"],
  deadlineMs: [(ms) => typeof ms === 'number' && ms > 0, 'a number of milliseconds above 0'],
}

/** `call`: as it is written, with its parameters. */
export function checkOptions(call: string, options: unknown) {
  const name = call.slice(0, call.indexOf('(') + 1)
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`${call}: options are an object, as in { synchronous: 'normal' }.`)
  for (const [option, value] of Object.entries(options)) {
    const check = Object.hasOwn(CHECKS, option) ? CHECKS[option as keyof typeof CHECKS] : undefined
    if (!check)
      throw new TypeError(`${name}) has no option '${option}'. There are: ${Object.keys(CHECKS).join(', ')}.`)
    const [isRight, right] = check
    if (value !== undefined && !isRight(value)) throw new TypeError(`${name}): '${option}' must be ${right}.`)
  }
}

/** Other machines may write it as well, and the locks of SQLite don't reach them. */
export function requireLocal(path: string | undefined) {
  const system = path === undefined ? undefined : networkFileSystem(dirname(path))
  if (system !== undefined)
    throw new TypeError(
      `The SQLite file ${path} is on a network file system (${system}), where its locks do not hold. Put it on a disk of this machine, or use Redis.`,
    )
}
