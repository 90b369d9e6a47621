import { notDurable } from '@mcp-durable/core/store'
import type { Store, StoreOptions } from '@mcp-durable/core/store'
import { Calls } from './calls.js'
import { checkDatabase, checkOptions, requireLocal } from './check-options.js'
import type { SqliteStoreOptions } from './check-options.js'
import { DueCalls } from './due-calls.js'
import { Engine, pathOf } from './engine.js'
import { Histories } from './histories.js'
import { Logs } from './logs.js'
import { Maps } from './maps.js'
import { Nodes } from './nodes.js'
import { Quotas } from './quotas.js'
import { Sessions } from './sessions.js'
import { Space } from './space.js'
import type { SqliteDatabase } from './sqlite-like.js'
import { Values } from './values.js'
import { Watches } from './watches.js'

/**
 * A store in one SQLite file, for all processes of one machine that have it open.
 *
 * `database` is a handle of the application, which also closes it, after the store: `new DatabaseSync(path)` of node:sqlite, or
 * `new Database(path)` of better-sqlite3 or libsql. The store has it for itself. Throws a `TypeError` for what is no handle, no
 * option, or a file on a network file system.
 */
export function sqliteStore(database: SqliteDatabase, options: SqliteStoreOptions = {}): Store {
  checkDatabase(database)
  checkOptions('sqliteStore(database, options)', options)
  requireLocal(pathOf(database))
  return storeOf(new Engine({ open: () => database, isOwn: false }, settings(options)), {})
}

export const settings = ({ synchronous = 'full', deadlineMs = 5000 }: SqliteStoreOptions) => ({
  synchronous,
  deadlineMs,
})

export function storeOf(engine: Engine, options: StoreOptions): Store {
  const space = new Space(engine, options)
  const watches = new Watches(space)
  const whole: Pick<Store, 'open' | 'findRisks' | 'requireDurability' | 'close'> = {
    open: ({ name = options.name, keeping = options.keeping }) => storeOf(engine, { name, keeping }),
    findRisks: () => engine.risks(),
    requireDurability: async (durability) => {
      if (durability === 'replicated') throw notDurable(durability, 'a file has no replicas')
      if (durability === 'fsync' && engine.synchronous !== 'full')
        throw notDurable(durability, "the store has synchronous: 'normal'. Leave it at 'full'")
    },
    close: async () => {
      watches.end()
      await engine.leave(whole)
    },
  }
  engine.use(whole)
  return Object.assign(
    whole,
    new Sessions(space),
    new Values(space),
    new Logs(space),
    new Calls(space),
    new Nodes(space),
    new DueCalls(space),
    new Quotas(space),
    new Maps(space),
    new Histories(space),
    watches,
  )
}
